#!/usr/bin/env python3
"""Structural validators of export formats, written from their specifications.

Each takes a parsed document and returns a list of complaints. They know what a JSON schema cannot
say: references that lead nowhere, identifiers twice, a SHA-1 that a file lacks.

usage: validators.py --self-test | FORMAT FILE      (FORMAT: statement, envelope, spdx, cyclonedx)
"""
import base64
import copy
import json
import os
import re
import sys

HEX = {"sha1": 40, "gitCommit": 40, "gitBlob": 40, "sha256": 64, "sha512": 128}
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$")
URI = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~%-]*$")


class Complaints(list):
    def want(self, holds, text):
        if not holds:
            self.append(text)
        return holds

    def text(self, value, name):
        return self.want(isinstance(value, str) and value != "", f"{name}: not a text")


def check_digests(bad, digests, name):
    if not bad.want(isinstance(digests, dict) and digests, f"{name}: no digests"):
        return
    for algorithm, value in digests.items():
        size = HEX.get(algorithm)
        bad.want(isinstance(value, str) and re.fullmatch(r"[0-9a-f]+", value) is not None
                 and (size is None or len(value) in (size, 64)), f"{name}: {algorithm} is {value!r}")


def statement(document):
    """in-toto Statement v1, and SLSA provenance v1 where it is one."""
    bad = Complaints()
    bad.want(document.get("_type") == "https://in-toto.io/Statement/v1", "_type")
    bad.want(set(document) <= {"_type", "subject", "predicateType", "predicate"}, "unknown members")
    bad.want(URI.match(document.get("predicateType", "")) is not None, "predicateType is no URI")
    subjects = document.get("subject")
    if bad.want(isinstance(subjects, list) and subjects, "no subject"):
        for subject in subjects:
            check_digests(bad, subject.get("digest"), "subject")
            bad.text(subject.get("name"), "subject name")
    if document.get("predicateType") == "https://slsa.dev/provenance/v1":
        provenance(bad, document.get("predicate", {}))
    return bad


def provenance(bad, predicate):
    definition = predicate.get("buildDefinition", {})
    details = predicate.get("runDetails", {})
    bad.want(set(predicate) == {"buildDefinition", "runDetails"}, "members of the predicate")
    bad.want(URI.match(definition.get("buildType", "")) is not None, "buildType is no URI")
    bad.want(isinstance(definition.get("externalParameters"), dict), "no externalParameters")
    bad.want(set(definition) <= {"buildType", "externalParameters", "internalParameters",
                                 "resolvedDependencies"}, "members of buildDefinition")
    for dependency in definition.get("resolvedDependencies", []):
        bad.want(set(dependency) <= {"uri", "digest", "name", "downloadLocation", "mediaType",
                                     "content", "annotations"}, "members of a descriptor")
        bad.want({"uri", "digest", "content"} & set(dependency), "a descriptor without identity")
        if "uri" in dependency:
            bad.want(URI.match(dependency["uri"]) is not None, f"no URI: {dependency['uri']!r}")
        if "digest" in dependency:
            check_digests(bad, dependency["digest"], "dependency")
    bad.want(set(details) <= {"builder", "metadata", "byproducts"}, "members of runDetails")
    bad.want(URI.match(details.get("builder", {}).get("id", "")) is not None, "builder.id is no URI")
    for key in ("startedOn", "finishedOn"):
        bad.want(TIME.match(details.get("metadata", {}).get(key, "")) is not None, key)
    for key in details.get("metadata", {}):
        bad.want(key in ("invocationId", "startedOn", "finishedOn") or "_" in key,
                 f"{key}: an extension is named VENDOR_FIELD")


def envelope(document):
    """DSSE 1.0."""
    bad = Complaints()
    bad.want(document.get("payloadType") == "application/vnd.in-toto+json", "payloadType")
    try:
        base64.b64decode(document["payload"], validate=True)
        for signature in document["signatures"]:
            bad.want(len(base64.b64decode(signature["sig"], validate=True)) == 64, "sig")
        bad.want(document["signatures"], "no signature")
    except (KeyError, ValueError) as failure:
        bad.append(f"no envelope: {failure!r}")
    return bad


def spdx(document):
    """SPDX 2.3, clauses 6 to 8 and 11."""
    bad = Complaints()
    bad.want(document.get("spdxVersion") == "SPDX-2.3", "6.1 spdxVersion")
    bad.want(document.get("dataLicense") == "CC0-1.0", "6.2 dataLicense")
    bad.want(document.get("SPDXID") == "SPDXRef-DOCUMENT", "6.3 SPDXID")
    bad.text(document.get("name"), "6.4 name")
    namespace = document.get("documentNamespace", "")
    bad.want(URI.match(namespace) is not None and "#" not in namespace, "6.5 documentNamespace")
    creation = document.get("creationInfo", {})
    bad.want(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", creation.get("created", "")),
             "6.9 created")
    for creator in creation.get("creators", []) or [""]:
        bad.want(re.match(r"(Person|Organization|Tool): \S", creator), f"6.8 creator {creator!r}")
    known = {"SPDXRef-DOCUMENT"}
    for element in document.get("packages", []) + document.get("files", []):
        identity = element.get("SPDXID", "")
        bad.want(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", identity), f"SPDXID {identity!r}")
        bad.want(identity not in known, f"{identity} twice")
        known.add(identity)
        for checksum in element.get("checksums", []):
            size = {"SHA1": 40, "SHA256": 64}.get(checksum["algorithm"])
            bad.want(re.fullmatch(r"[0-9a-f]{%s}" % size, checksum["checksumValue"]), identity)
    for package in document.get("packages", []):
        bad.text(package.get("name"), "7.1 name")
        bad.text(package.get("downloadLocation"), "7.7 downloadLocation")
        bad.want(package.get("filesAnalyzed") is False or "packageVerificationCode" in package,
                 "7.9 packageVerificationCode")
        for reference in package.get("externalRefs", []):
            bad.want(reference["referenceLocator"].startswith("pkg:"), "7.21 purl")
    for file in document.get("files", []):
        bad.text(file.get("fileName"), "8.1 fileName")
        bad.want(any(c["algorithm"] == "SHA1" for c in file.get("checksums", [])), "8.4 SHA1")
    described = 0
    for relationship in document.get("relationships", []):
        for key in ("spdxElementId", "relatedSpdxElement"):
            bad.want(relationship.get(key) in known, f"11 {relationship.get(key)} is not there")
        described += relationship.get("relationshipType") == "DESCRIBES"
    bad.want(described > 0, "11 nothing is described")
    return bad


def cyclonedx(document):
    """CycloneDX 1.6: what its JSON schema leaves to prose."""
    bad = Complaints()
    bad.want(document.get("bomFormat") == "CycloneDX", "bomFormat")
    bad.want(document.get("specVersion") == "1.6", "specVersion")
    bad.want(re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", document.get("serialNumber", "")), "serial")
    known, wanted = set(), []

    def look(value, key=""):
        if isinstance(value, dict):
            reference = value.get("bom-ref")
            if reference is not None:
                bad.want(reference not in known, f"bom-ref {reference} twice")
                known.add(reference)
            if isinstance(value.get("ref"), str):
                wanted.append(value["ref"])
            for name, inner in value.items():
                look(inner, name)
        elif isinstance(value, list):
            if key in ("dependsOn", "assemblies"):
                wanted.extend(value)
            for inner in value:
                look(inner)

    look(document)
    for reference in wanted:
        bad.want(reference in known, f"ref {reference} leads nowhere")
    for formula in document.get("formulation", []):
        for workflow in formula.get("workflows", []):
            for task in workflow.get("tasks", []):
                bad.want(task.get("steps"), f"task {task.get('uid')} without its command")
    bad.want("component" in document.get("metadata", {}), "no metadata.component")
    return bad


VALIDATORS = {"statement": statement, "envelope": envelope, "spdx": spdx, "cyclonedx": cyclonedx}


def official_schema(format_name):
    """The published schema, when it is installed: (schema, others by $id); None when it is not."""
    here = os.path.dirname(os.path.abspath(__file__))
    if format_name == "spdx":
        path = os.environ.get("STEMMA_SPDX_SCHEMA", "")
        return (json.load(open(path, encoding="utf-8")), {}) if path else None
    folder = os.environ.get("STEMMA_CYCLONEDX_SCHEMAS") or os.path.join(
        here, "..", "schemas", "node_modules", "@cyclonedx", "cyclonedx-library", "res", "schema")
    path = os.path.join(folder, "bom-1.6.SNAPSHOT.schema.json")
    if format_name != "cyclonedx" or not os.path.exists(path):
        return None
    others = {}
    for name in ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json"):
        schema = json.load(open(os.path.join(folder, name), encoding="utf-8"))
        others[schema["$id"]] = schema
        others["http://cyclonedx.org/schema/" + name] = schema
    return json.load(open(path, encoding="utf-8")), others


def against_schema(format_name, document):
    """Complaints by the published schema; None when it or python3-jsonschema is not installed."""
    found = official_schema(format_name)
    if found is None:
        return None
    try:
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        import jsonschema
        resolver = jsonschema.RefResolver.from_schema(found[0], store=found[1])
    except ImportError:
        return None
    validator = jsonschema.Draft7Validator(found[0], resolver=resolver)
    return [f"{'/'.join(map(str, e.path))}: {e.message[:200]}" for e in validator.iter_errors(document)]


SAMPLES = {
    "statement": {
        "_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
        "subject": [{"name": "a", "digest": {"sha256": "0" * 64}}],
        "predicate": {
            "buildDefinition": {"buildType": "urn:x:y", "externalParameters": {}},
            "runDetails": {"builder": {"id": "urn:x:z"}, "metadata": {
                "startedOn": "2026-01-02T03:04:05Z", "finishedOn": "2026-01-02T03:04:05Z"}}}},
    "envelope": {"payloadType": "application/vnd.in-toto+json", "payload": "e30=",
                 "signatures": [{"keyid": "", "sig": base64.b64encode(bytes(64)).decode()}]},
    "spdx": {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
             "name": "n", "documentNamespace": "urn:uuid:1", "creationInfo": {
                 "created": "2026-01-02T03:04:05Z", "creators": ["Tool: t-1"]},
             "packages": [{"SPDXID": "SPDXRef-a", "name": "a", "downloadLocation": "NOASSERTION",
                           "filesAnalyzed": False}],
             "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                                "relatedSpdxElement": "SPDXRef-a"}]},
    "cyclonedx": {"bomFormat": "CycloneDX", "specVersion": "1.6",
                  "serialNumber": "urn:uuid:00000000-0000-0000-0000-000000000000",
                  "metadata": {"component": {"bom-ref": "a", "name": "a", "type": "file"}},
                  "dependencies": [{"ref": "a", "dependsOn": []}]},
}


def self_test():
    """Every validator accepts its sample and refuses it with any member taken out or spoilt."""
    failures = []

    def variants(value, path=()):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield path + (key,)
            if isinstance(value[key], (dict, list)):
                yield from variants(value[key], path + (key,))

    optional = {"dependsOn", "keyid", "dependencies", "bom-ref", "type", "ref"}
    for name, sample in SAMPLES.items():
        if VALIDATORS[name](sample):
            failures.append(f"{name}: the sample is refused: {VALIDATORS[name](sample)}")
        for path in variants(sample):
            broken = copy.deepcopy(sample)
            inner = broken
            for key in path[:-1]:
                inner = inner[key]
            del inner[path[-1]]
            try:
                refused = bool(VALIDATORS[name](broken))
            except (KeyError, TypeError):
                refused = True
            leaf_optional = path[-1] in optional or path == ("dependencies", 0) or (name == "cyclonedx" and len(path) > 2)
            if not refused and not leaf_optional:
                failures.append(f"{name}: accepted without {path}")
    print("\n".join(failures) if failures else "validators: accept their samples, refuse damage")
    return 1 if failures else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    with open(sys.argv[2], encoding="utf-8") as file:
        document = json.load(file)
    complaints = VALIDATORS[sys.argv[1]](document) + (against_schema(sys.argv[1], document) or [])
    print("\n".join(complaints) if complaints else "valid")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
