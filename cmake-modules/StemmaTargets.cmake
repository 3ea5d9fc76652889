# Half of the time that a source takes to compile goes into the same standard and outside headers.
# With STEMMA_PRECOMPILE they are read once: a build from nothing takes little more than half. Off by
# default, since ccache serves a developer better, and so that a missing #include shows itself.
option(STEMMA_PRECOMPILE "Precompile the headers that nearly every source includes" OFF)
set(STEMMA_PRECOMPILED_HEADERS
    <algorithm> <array> <chrono> <filesystem> <fstream> <functional> <map> <memory> <mutex> <optional>
    <set> <span> <string> <string_view> <unordered_map> <variant> <vector>
    <fmt/format.h> <nlohmann/json.hpp>)

# stemma_precompile(<target> <kind> [HEADER…]): all targets of one kind share the precompiled headers,
# HEADERs beside the usual ones. Targets of one kind are compiled alike (PIC or not).
function(stemma_precompile target kind)
    if(NOT STEMMA_PRECOMPILE)
        return()
    endif()
    set(shared stemma_precompiled_${kind})
    if(NOT TARGET ${shared})
        file(WRITE ${PROJECT_BINARY_DIR}/${shared}.cpp "")
        add_library(${shared} OBJECT ${PROJECT_BINARY_DIR}/${shared}.cpp)
        target_compile_features(${shared} PUBLIC cxx_std_20)
        target_link_libraries(${shared} PRIVATE stemma_flags fmt::fmt nlohmann_json::nlohmann_json)
        get_target_property(pic ${target} POSITION_INDEPENDENT_CODE)
        set_target_properties(${shared} PROPERTIES POSITION_INDEPENDENT_CODE "${pic}")
        list(TRANSFORM STEMMA_PRECOMPILED_HEADERS PREPEND "$<$<COMPILE_LANGUAGE:CXX>:" OUTPUT_VARIABLE headers)
        list(TRANSFORM headers APPEND ">")
        target_precompile_headers(${shared} PRIVATE ${headers} ${ARGN})
    endif()
    target_precompile_headers(${target} REUSE_FROM ${shared})
endfunction()

# stemma_unite(<target>): its sources are compiled together, when STEMMA_UNITY says so.
function(stemma_unite target)
    if(STEMMA_UNITY)
        set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
    endif()
endfunction()

# stemma_add_library(<name> SOURCES … HEADERS … [LINK_PUBLIC …] [LINK_PRIVATE …])
#
# A static library `stemma_<name>` with the alias Stemma::<name>. Headers live below include/.
# Warnings and sanitizers come from stemma_flags and never reach users of an installed library.
function(stemma_add_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;HEADERS;LINK_PUBLIC;LINK_PRIVATE")
    set(target stemma_${name})
    add_library(${target} STATIC ${arg_SOURCES})
    add_library(Stemma::${name} ALIAS ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} POSITION_INDEPENDENT_CODE ON)
    target_sources(${target} PUBLIC FILE_SET HEADERS
        BASE_DIRS ${CMAKE_CURRENT_SOURCE_DIR}/include
        FILES ${arg_HEADERS})
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_link_libraries(${target}
        PUBLIC ${arg_LINK_PUBLIC}
        PRIVATE ${arg_LINK_PRIVATE} $<BUILD_INTERFACE:stemma_flags>)
    stemma_precompile(${target} library)
    stemma_unite(${target})
endfunction()

# stemma_add_executable(<target> SOURCES … [LINK …])
function(stemma_add_executable target)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
    add_executable(${target} ${arg_SOURCES})
    target_link_libraries(${target} PRIVATE ${arg_LINK} $<BUILD_INTERFACE:stemma_flags>)
endfunction()

# stemma_add_unit_tests(<folder> SOURCES … [LINK …])
#
# One Catch2 binary for the tests of one folder, registered with ctest under the label `unit`.
function(stemma_add_unit_tests folder)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK;LABELS")
    string(REPLACE "/" "_" flat ${folder})
    set(target unit_${flat})
    add_executable(${target} ${arg_SOURCES})
    target_link_libraries(${target}
        PRIVATE ${arg_LINK} stemma_test_support Catch2::Catch2WithMain stemma_flags)
    if(NOT arg_LABELS)
        set(arg_LABELS unit)
    endif()
    set(timeout 300)
    if(STEMMA_SANITIZE)
        set(timeout 1800)
    endif()
    stemma_precompile(${target} unit_test <catch2/catch.hpp>)
    add_test(NAME ${target}
        COMMAND ${PROJECT_SOURCE_DIR}/tests/support/run-test $<TARGET_FILE:${target}> --use-colour no)
    set_tests_properties(${target} PROPERTIES
        LABELS "${arg_LABELS}"
        TIMEOUT ${timeout}
        SKIP_REGULAR_EXPRESSION "\\[stemma-skip\\]")
endfunction()
