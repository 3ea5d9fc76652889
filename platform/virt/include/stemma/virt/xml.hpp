#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stemma::virt {

/// Writes XML; every name is ours, every value is escaped.
class XmlWriter {
public:
    using Attributes = std::initializer_list<std::pair<std::string_view, std::string_view>>;

    XmlWriter& open(std::string_view name, Attributes attributes = {});
    XmlWriter& close();
    /// An element without content.
    XmlWriter& empty(std::string_view name, Attributes attributes = {});
    /// An element with text alone.
    XmlWriter& element(std::string_view name, std::string_view text, Attributes attributes = {});
    /// The document; every element must be closed.
    [[nodiscard]] std::string finish();

private:
    void start(std::string_view name, Attributes attributes);

    std::string text_;
    std::vector<std::string> open_;
};

/// Text for use between tags or quotes.
/// throws  usage: it has characters that XML 1.0 cannot carry, or is not UTF-8
std::string xml_escape(std::string_view text);

/// One element of a parsed document. Comments and processing instructions are not kept.
struct XmlElement {
    std::string name; ///< with its prefix, "stemma:vm"
    std::map<std::string, std::string, std::less<>> attributes;
    std::string text; ///< of its direct text nodes, joined
    std::vector<XmlElement> children;

    /// The first descendant along "devices/disk"; nullptr when there is none.
    [[nodiscard]] const XmlElement* find(std::string_view path) const;
    /// All of them: the last step may match several children.
    [[nodiscard]] std::vector<const XmlElement*> all(std::string_view path) const;
    [[nodiscard]] std::string attribute(std::string_view key) const; ///< empty when missing
    /// Text of find(path), trimmed; empty when missing.
    [[nodiscard]] std::string text_at(std::string_view path) const;
    /// Attribute of find(path); empty when missing.
    [[nodiscard]] std::string attribute_at(std::string_view path, std::string_view key) const;
};

/// Parses untrusted XML: no network, no entities, no document type, at most 4 MiB and 64 levels.
/// throws  corrupt: "<name>: line L: …"
XmlElement parse_xml(std::string_view text, std::string_view name);

} // namespace stemma::virt
