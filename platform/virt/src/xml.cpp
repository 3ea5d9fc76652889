#include "stemma/virt/xml.hpp"

#include "stemma/core/error.hpp"
#include "stemma/core/text.hpp"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <libxml/xmlerror.h>

#include <memory>

namespace stemma::virt {

namespace {

constexpr std::size_t max_xml = std::size_t{4} << 20U;
constexpr int max_depth = 64;

std::string_view view(const xmlChar* text) noexcept
{
    return text == nullptr ? std::string_view{}
                           : std::string_view(reinterpret_cast<const char*>(text));
}

std::string qualified(const xmlNs* space, const xmlChar* name)
{
    if (space != nullptr && space->prefix != nullptr) {
        return std::string(view(space->prefix)) + ":" + std::string(view(name));
    }
    return std::string(view(name));
}

XmlElement convert(const xmlNode* node, int depth)
{
    if (depth > max_depth) {
        throw Error(ErrorCode::corrupt, "XML nested deeper than 64 levels");
    }
    XmlElement element;
    element.name = qualified(node->ns, node->name);
    for (const auto* attribute = node->properties; attribute != nullptr;
         attribute = attribute->next) {
        std::string value;
        for (const auto* part = attribute->children; part != nullptr; part = part->next) {
            value += view(part->content);
        }
        element.attributes.emplace(qualified(attribute->ns, attribute->name), std::move(value));
    }
    for (const auto* child = node->children; child != nullptr; child = child->next) {
        if (child->type == XML_ELEMENT_NODE) {
            element.children.push_back(convert(child, depth + 1));
        } else if (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE) {
            element.text += view(child->content);
        }
    }
    return element;
}

} // namespace

std::string xml_escape(std::string_view text)
{
    if (!is_utf8(text)) {
        throw Error(ErrorCode::usage, "not UTF-8, so XML cannot carry it: " + printable(text));
    }
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 && c != '\t' && c != '\n') {
            throw Error(ErrorCode::usage,
                        "a control character that XML cannot carry: " + printable(text));
        }
        switch (c) {
        case '&':
            out += "&amp;";
            break;
        case '<':
            out += "&lt;";
            break;
        case '>':
            out += "&gt;";
            break;
        case '"':
            out += "&quot;";
            break;
        case '\'':
            out += "&apos;";
            break;
        case '\t':
            out += "&#9;";
            break;
        case '\n':
            out += "&#10;";
            break;
        default:
            out += c;
        }
    }
    return out;
}

void XmlWriter::start(std::string_view name, Attributes attributes)
{
    text_.append(2 * open_.size(), ' ');
    text_ += '<';
    text_ += name;
    for (const auto& [key, value] : attributes) {
        text_ += ' ';
        text_ += key;
        text_ += "='";
        text_ += xml_escape(value);
        text_ += '\'';
    }
}

XmlWriter& XmlWriter::open(std::string_view name, Attributes attributes)
{
    start(name, attributes);
    text_ += ">\n";
    open_.emplace_back(name);
    return *this;
}

XmlWriter& XmlWriter::close()
{
    const auto name = open_.back();
    open_.pop_back();
    text_.append(2 * open_.size(), ' ');
    text_ += "</" + name + ">\n";
    return *this;
}

XmlWriter& XmlWriter::empty(std::string_view name, Attributes attributes)
{
    start(name, attributes);
    text_ += "/>\n";
    return *this;
}

XmlWriter& XmlWriter::element(std::string_view name, std::string_view text, Attributes attributes)
{
    start(name, attributes);
    text_ += '>';
    text_ += xml_escape(text);
    text_ += "</";
    text_ += name;
    text_ += ">\n";
    return *this;
}

std::string XmlWriter::finish()
{
    if (!open_.empty()) {
        throw Error(ErrorCode::usage, "XML element " + open_.back() + " was left open");
    }
    return std::move(text_);
}

const XmlElement* XmlElement::find(std::string_view path) const
{
    const auto found = all(path);
    return found.empty() ? nullptr : found.front();
}

static void add_children(const XmlElement& element,
                         std::string_view name,
                         std::vector<const XmlElement*>& found)
{
    for (const auto& child : element.children) {
        if (child.name == name) {
            found.push_back(&child);
        }
    }
}

std::vector<const XmlElement*> XmlElement::all(std::string_view path) const
{
    std::vector<const XmlElement*> here{this};
    for (const auto step : split(path, '/')) {
        std::vector<const XmlElement*> next;
        for (const auto* element : here) {
            add_children(*element, step, next);
        }
        here = std::move(next);
    }
    return here;
}

std::string XmlElement::attribute(std::string_view key) const
{
    const auto found = attributes.find(key);
    return found == attributes.end() ? std::string{} : found->second;
}

std::string XmlElement::text_at(std::string_view path) const
{
    const auto* found = find(path);
    return found == nullptr ? std::string{} : std::string(trim(found->text));
}

std::string XmlElement::attribute_at(std::string_view path, std::string_view key) const
{
    const auto* found = find(path);
    return found == nullptr ? std::string{} : found->attribute(key);
}

XmlElement parse_xml(std::string_view text, std::string_view name)
{
    if (text.size() > max_xml) {
        throw Error(ErrorCode::corrupt, fmt::format("{}: more than 4 MiB of XML", name));
    }
    const std::unique_ptr<xmlParserCtxt, void (*)(xmlParserCtxtPtr)> parser(xmlNewParserCtxt(),
                                                                            xmlFreeParserCtxt);
    if (!parser) {
        throw Error(ErrorCode::io, "out of memory");
    }
    const std::unique_ptr<xmlDoc, void (*)(xmlDocPtr)> document(
        xmlCtxtReadMemory(parser.get(),
                          text.data(),
                          static_cast<int>(text.size()),
                          nullptr,
                          nullptr,
                          XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING),
        xmlFreeDoc);
    if (!document) {
        const auto* error = xmlCtxtGetLastError(parser.get());
        throw Error(ErrorCode::corrupt,
                    fmt::format("{}: line {}: {}",
                                name,
                                error == nullptr ? 0 : error->line,
                                error == nullptr || error->message == nullptr
                                    ? "not XML"
                                    : std::string(trim(error->message))));
    }
    if (document->intSubset != nullptr || document->extSubset != nullptr) {
        throw Error(ErrorCode::corrupt, fmt::format("{}: a document type is not expected", name));
    }
    return convert(xmlDocGetRootElement(document.get()), 0);
}

} // namespace stemma::virt
