#!/usr/bin/env python3
"""usage: make_products.py PRODUCTS.csv SOURCE.cpp -- writes the catalogue as a C++ table."""
import csv
import json
import sys


def products(path):
    with open(path, newline="", encoding="utf-8") as table:
        for row in csv.reader(line for line in table if not line.startswith("#")):
            if len(row) != 3:
                sys.exit(f"{path}: a product has a code, a name and a price: {row}")
            yield row[0], row[1], int(row[2])


def main(table, source):
    rows = sorted(products(table))
    with open(source, "w", encoding="utf-8") as out:
        out.write('#include "shop/catalogue.hpp"\n\nnamespace shop {\n\n')
        out.write(f"const std::array<Product, {len(rows)}> products_table{{{{\n")
        for code, name, cents in rows:
            # A JSON string is a C++ string as long as it holds no \u escapes.
            code, name = (json.dumps(text, ensure_ascii=False) for text in (code, name))
            out.write(f"    {{{code}, {name}, {cents}}},\n")
        out.write("}};\n\nstd::span<const Product> all_products()\n{\n    return products_table;\n}\n")
        out.write("\n} // namespace shop\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
