#include "stemma/analyzer/matrix.hpp"

#include "stemma/core/digest.hpp"
#include "stemma/core/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

namespace stemma::analyzer {

namespace {

bool is_leaf(const Pool& pool, NodeId id)
{
    const Pool::Node& node = pool.node(id);
    return (node.role == NodeRole::setting || node.role == NodeRole::element ||
            node.role == NodeRole::attribute) &&
           pool.node(node.parent).role != NodeRole::shape;
}

struct Leaf {
    std::string name;
    NodeId node = 0;
};

std::vector<Leaf> leaves_of(const Pool& pool, const MatrixOptions& options)
{
    std::vector<Leaf> leaves;
    for (NodeId id = 1; id < pool.nodes(); ++id) {
        if (!is_leaf(pool, id) || (pool.node(id).operational && !options.operational) ||
            pool.present(id) == 0) {
            continue;
        }
        if (!options.constant && pool.node(id).exceptions.empty()) {
            continue;
        }
        auto [file, key] = pool.describe(id);
        leaves.push_back({fmt::format("{}{}{}", file, file.ends_with(':') ? "" : ":", key), id});
    }
    std::sort(leaves.begin(), leaves.end(), [](const Leaf& a, const Leaf& b) {
        return a.name != b.name ? a.name < b.name : a.node < b.node;
    });
    return leaves;
}

/// The values of a node in order, and for each code its place among them, from 1.
Matrix::Column
column_of(const Pool& pool, const Leaf& leaf, std::unordered_map<Code, std::uint32_t>& places)
{
    Matrix::Column column{leaf.name, {}};
    std::vector<std::pair<std::string, Code>> values;
    for (const auto& [code, count] : pool.counts(leaf.node)) {
        values.emplace_back(pool.value_text(leaf.node, code), code);
    }
    std::sort(values.begin(), values.end());
    for (auto& [text, code] : values) {
        column.values.push_back(std::move(text));
        places[code] = static_cast<std::uint32_t>(column.values.size());
    }
    return column;
}

std::string csv_cell(std::string_view text)
{
    std::string shown = printable(text);
    if (!shown.empty() && shown.find_first_of(",\"\r\n") == std::string::npos) {
        return shown;
    }
    std::string quoted = "\"";
    for (const char byte : shown) {
        quoted.append(byte == '"' ? 2U : 1U, byte);
    }
    return quoted + "\"";
}

} // namespace

Matrix matrix_of(const Pool& pool, const MatrixOptions& options)
{
    std::vector<std::pair<std::string, VmIndex>> vms;
    for (VmIndex vm = 0; vm < pool.end(); ++vm) {
        if (pool.is_live(vm)) {
            vms.emplace_back(pool.name_of(vm), vm);
        }
    }
    std::sort(vms.begin(), vms.end());
    Matrix matrix;
    for (const auto& [name, vm] : vms) {
        matrix.vms.push_back(name);
    }
    const auto leaves = leaves_of(pool, options);
    matrix.codes.assign(vms.size(), std::vector<std::uint32_t>(leaves.size(), 0));
    for (std::size_t i = 0; i < leaves.size(); ++i) {
        std::unordered_map<Code, std::uint32_t> places;
        matrix.columns.push_back(column_of(pool, leaves[i], places));
        for (std::size_t row = 0; row < vms.size(); ++row) {
            const Code code = pool.code_of(leaves[i].node, vms[row].second);
            matrix.codes[row][i] = code == code_absent ? 0 : places[code];
        }
    }
    return matrix;
}

Matrix in_order(const Matrix& matrix, const std::vector<std::string>& names)
{
    std::unordered_map<std::string_view, std::size_t> where;
    for (std::size_t i = 0; i < matrix.columns.size(); ++i) {
        where.emplace(matrix.columns[i].name, i);
    }
    Matrix ordered;
    ordered.vms = matrix.vms;
    ordered.codes.assign(matrix.vms.size(), std::vector<std::uint32_t>(names.size(), 0));
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto found = where.find(names[i]);
        if (found == where.end()) {
            ordered.columns.push_back({names[i], {}});
            continue;
        }
        ordered.columns.push_back(matrix.columns[found->second]);
        for (std::size_t row = 0; row < matrix.vms.size(); ++row) {
            ordered.codes[row][i] = matrix.codes[row][found->second];
        }
    }
    return ordered;
}

std::string schema_digest(const Matrix& matrix)
{
    Sha256 hash;
    for (const auto& column : matrix.columns) {
        hash.update(column.name).update("\n");
    }
    return hash.finish().hex();
}

std::string matrix_csv(const Matrix& matrix)
{
    std::string text = "vm";
    for (const auto& column : matrix.columns) {
        text += "," + csv_cell(column.name);
    }
    text += "\r\n";
    for (std::size_t row = 0; row < matrix.vms.size(); ++row) {
        text += csv_cell(matrix.vms[row]);
        for (std::size_t i = 0; i < matrix.columns.size(); ++i) {
            const std::string* value = matrix.value(row, i);
            text += ',';
            text += value == nullptr ? std::string() : csv_cell(*value);
        }
        text += "\r\n";
    }
    return text;
}

Json matrix_json(const Matrix& matrix)
{
    Json columns = Json::array();
    for (const auto& column : matrix.columns) {
        Json values = Json::array();
        for (const auto& value : column.values) {
            values.push_back(json_text(value));
        }
        columns.push_back({{"name", json_text(column.name)}, {"values", std::move(values)}});
    }
    Json vms = Json::array();
    for (const auto& name : matrix.vms) {
        vms.push_back(json_text(name));
    }
    return {{"schema", "stemma.matrix/1"},
            {"digest", schema_digest(matrix)},
            {"vms", std::move(vms)},
            {"columns", std::move(columns)},
            {"codes", matrix.codes}};
}

std::string matrix_npy(const Matrix& matrix)
{
    constexpr std::size_t alignment = 64;
    std::string header =
        fmt::format("{{'descr': '<u4', 'fortran_order': False, 'shape': ({}, {}), }}",
                    matrix.vms.size(),
                    matrix.columns.size());
    constexpr std::size_t before = 10; // magic, version, length of the header
    header.append(alignment - (before + header.size() + 1) % alignment, ' ').push_back('\n');
    std::string bytes("\x93NUMPY\x01\x00", 8);
    bytes.push_back(static_cast<char>(header.size() & 0xFFU));
    bytes.push_back(static_cast<char>(header.size() >> 8U));
    bytes += header;
    for (const auto& row : matrix.codes) {
        for (const std::uint32_t code : row) {
            for (const unsigned shift : {0U, 8U, 16U, 24U}) {
                bytes.push_back(static_cast<char>((code >> shift) & 0xFFU));
            }
        }
    }
    return bytes;
}

} // namespace stemma::analyzer
