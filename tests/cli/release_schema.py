#!/usr/bin/env python3
"""usage: release_schema.py STEMMA SCHEMA FOLDER

The JSON schema that editors use and the parser say the same of every example: FOLDER/valid/*.yaml
are taken by both, FOLDER/invalid/*.yaml refused by both, and the parser names the place.
"""
import glob
import json
import os
import re
import subprocess
import sys

try:
    import jsonschema
    import yaml
except ImportError as missing:
    print(f"[stemma-skip] {missing}")
    sys.exit(0)


def main():
    stemma, schema_file, folder = sys.argv[1:]
    with open(schema_file, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    wrong = []
    examples = sorted(glob.glob(os.path.join(folder, "*", "*.yaml")))
    for path in examples:
        wanted = os.path.basename(os.path.dirname(path)) == "valid"
        with open(path, encoding="utf-8") as file:
            takes = validator.is_valid(yaml.safe_load(file))
        done = subprocess.run([stemma, "release", "check", path], capture_output=True, text=True)
        if takes != wanted:
            wrong.append(f"{path}: the schema {'takes' if takes else 'refuses'} it")
        if done.returncode != (0 if wanted else 2):
            wrong.append(f"{path}: the parser exits {done.returncode}: {done.stderr}")
        if not wanted and not re.search(re.escape(path) + r":\d+:\d+: ", done.stderr):
            wrong.append(f"{path}: no place in: {done.stderr}")
    print("\n".join(wrong) or f"ok: schema and parser agree on {len(examples)} release files")
    return 1 if wrong or len(examples) < 20 else 0


sys.exit(main())
