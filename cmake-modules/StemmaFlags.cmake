# Sources of one library compiled eight at a time: a build from nothing takes a third of the time.
# For it, names in anonymous namespaces differ within a library. What warns of a name that another
# source made is left to builds without it, the default.
option(STEMMA_UNITY "Compile the sources of a library together" OFF)

# stemma_flags: warnings and, by option, sanitizers or coverage; linked PRIVATE by every target.
add_library(stemma_flags INTERFACE)

target_compile_options(stemma_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:
        -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
        -Wnon-virtual-dtor -Woverloaded-virtual -Wsuggest-override -Wcast-align -Wformat=2
        -Wextra-semi -Wundef -Wdouble-promotion -Wvla>
    # GCC 12 sees overlaps and bounds in std::string that are not there, depending on what it inlines
    # (its bugs 105329 and 105651); the address sanitizer and clang-tidy watch over the true ones.
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:
        -Wduplicated-cond -Wduplicated-branches -Wlogical-op
        -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread>)

if(STEMMA_UNITY)
    target_compile_options(stemma_flags INTERFACE
        $<$<COMPILE_LANGUAGE:CXX>:-Wno-shadow>
        $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-subobject-linkage>)
endif()

set(STEMMA_SANITIZE "" CACHE STRING "Sanitizers, e.g. address,undefined or thread")
if(STEMMA_SANITIZE)
    target_compile_options(stemma_flags INTERFACE
        -fsanitize=${STEMMA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(stemma_flags INTERFACE -fsanitize=${STEMMA_SANITIZE})
    # GCC's own instrumentation hides initialisations from this warning.
    target_compile_options(stemma_flags INTERFACE
        $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-maybe-uninitialized>)
endif()

option(STEMMA_COVERAGE "Count executed lines (gcov)" OFF)
if(STEMMA_COVERAGE)
    target_compile_options(stemma_flags INTERFACE --coverage)
    target_link_options(stemma_flags INTERFACE --coverage)
endif()

option(STEMMA_FUZZ "Build libFuzzer programs (needs clang)" OFF)
if(STEMMA_FUZZ)
    # Without it libFuzzer sees the branches of its own small target only, and mutates blindly.
    target_compile_options(stemma_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
