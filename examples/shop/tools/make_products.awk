# usage: awk -v source=SOURCE.cpp -f make_products.awk PRODUCTS.csv
# Writes the catalogue to SOURCE.cpp, as a C++ table. A product has a code, a name and a price in cents.
BEGIN {
    FS = ","
}
/^#/ || /^$/ {
    next
}
NF != 3 || $1 !~ /^[a-z]+$/ || $2 ~ /["\\]/ || $3 !~ /^[0-9]+$/ {
    print FILENAME ":" FNR ": not a product: " $0 >"/dev/stderr"
    failed = 1
    exit 1
}
$1 <= last {
    print FILENAME ":" FNR ": " $1 " does not come after " last >"/dev/stderr"
    failed = 1
    exit 1
}
{
    last = $1
    rows = rows "    {\"" $1 "\", \"" $2 "\", " $3 "},\n"
    count++
}
END {
    if (failed) {
        exit 1
    }
    print "#include \"shop/catalogue.hpp\"\n\nnamespace shop {\n" >source
    print "const std::array<Product, " count "> products_table{{" >source
    printf "%s", rows >source
    print "}};\n\nstd::span<const Product> all_products()\n{\n    return products_table;\n}\n" >source
    print "} // namespace shop" >source
}
