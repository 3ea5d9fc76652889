#pragma once

#include "stemma/analyzer/pool.hpp"
#include "stemma/core/json.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stemma::analyzer {

/// Features of many VMs as one table: a row per VM, a column per setting, file attribute, list
/// element, package, …; in canonical forms, columns and the values of each in order of their bytes,
/// so that equal fleets give equal tables.
struct Matrix {
    struct Column {
        std::string name;                ///< "FILE:KEY", "package:[openssl]/version"
        std::vector<std::string> values; ///< all that occur, sorted
    };
    std::vector<std::string> vms; ///< sorted
    std::vector<Column> columns;
    /// By VM, then by column: 0 where the VM lacks it, else 1 + index into the column's values.
    std::vector<std::vector<std::uint32_t>> codes;

    /// The value, or nullptr where the VM lacks it.
    [[nodiscard]] const std::string* value(std::size_t vm, std::size_t column) const
    {
        const std::uint32_t code = codes[vm][column];
        return code == 0 ? nullptr : &columns[column].values[code - 1];
    }
};

struct MatrixOptions {
    bool operational = false; ///< also logs, caches, identities and the like
    bool constant = true;     ///< also columns in which all VMs agree
};

/// cost  VMs × columns; 4 bytes each
Matrix matrix_of(const Pool& pool, const MatrixOptions& options);

/// Puts the columns into an order that is given: those that the table lacks are empty, those that
/// the order lacks are left out. For models that were made from another table.
Matrix in_order(const Matrix& matrix, const std::vector<std::string>& names);

/// sha256 over the names of the columns, in order, each with a newline: two tables with the same
/// one can be laid side by side.
std::string schema_digest(const Matrix& matrix);

/// RFC 4180, UTF-8; bytes that are not as \xNN. First column "vm"; a VM that lacks a column has an
/// empty cell, an empty value is "".
std::string matrix_csv(const Matrix& matrix);

/// {"schema":"stemma.matrix/1","digest","vms":[name…],"columns":[{"name","values":[…]}…],
///  "codes":[[…]…]}
Json matrix_json(const Matrix& matrix);

/// The codes as a NumPy file, format 1.0: little-endian uint32, C order, VMs × columns.
/// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
std::string matrix_npy(const Matrix& matrix);

} // namespace stemma::analyzer
