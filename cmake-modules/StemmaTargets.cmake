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
    add_test(NAME ${target}
        COMMAND ${PROJECT_SOURCE_DIR}/tests/support/run-test $<TARGET_FILE:${target}> --use-colour no)
    set_tests_properties(${target} PROPERTIES
        LABELS "${arg_LABELS}"
        TIMEOUT 300
        SKIP_REGULAR_EXPRESSION "\\[stemma-skip\\]")
endfunction()
