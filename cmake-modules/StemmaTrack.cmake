# Records what goes into the targets of a CMake project. For users: find_package(Stemma) includes it.
#
#   stemma_track(<target>…)   compile, archive, link and custom steps of these targets
#   stemma_track_all()        those of the whole build tree
#
# Each step is run by stemma-hook, which appends what the step really read and wrote to
# <top build folder>/.stemma/journal; `stemma ingest` takes it into the lineage. Under `stemma build`
# the hook only names the step's target. The hook stands in front of every other launcher (ccache,
# ctest's); arguments, outputs and exit of the tools stay as they are.
#
# Works with the Ninja and Makefile generators; says so and does nothing with others.
include_guard(GLOBAL)

# Sets `result` to the launcher's words for one role; `output` names the placeholder of the output.
function(_stemma_launcher result role output)
    if(TARGET Stemma::hook)
        get_target_property(hook Stemma::hook LOCATION)
    else()
        set(hook "${STEMMA_HOOK_PROGRAM}")
    endif()
    string(CONCAT words
        "\"${hook}\" step \"--journal=${CMAKE_BINARY_DIR}/.stemma/journal\" --role=${role}"
        " --target=<TARGET_NAME> --type=<TARGET_TYPE> --language=<LANGUAGE> --output=<${output}> --")
    set(${result} "${words}" PARENT_SCOPE)
endfunction()

function(_stemma_generator_works result)
    set(works FALSE)
    if(CMAKE_GENERATOR MATCHES "Ninja|Makefiles")
        set(works TRUE)
        file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/.stemma")
        file(WRITE "${CMAKE_BINARY_DIR}/.stemma/.gitignore" "*\n")
    else()
        message(WARNING "stemma_track: the generator '${CMAKE_GENERATOR}' runs no launchers; "
            "nothing will be recorded. Use Ninja or Makefiles, or `stemma build -- ...`.")
    endif()
    set(${result} ${works} PARENT_SCOPE)
endfunction()

# Puts the hook in front of whatever launcher a scope (GLOBAL, DIRECTORY d, TARGET t) has.
function(_stemma_put_in_front property role output)
    set(scope ${ARGN})
    get_property(before ${scope} PROPERTY ${property})
    if(NOT before AND NOT scope STREQUAL "GLOBAL")
        get_property(before GLOBAL PROPERTY ${property})
    endif()
    if(before MATCHES "stemma-hook")
        return()
    endif()
    _stemma_launcher(launcher ${role} ${output})
    string(STRIP "${launcher} ${before}" launcher)
    set_property(${scope} PROPERTY ${property} "${launcher}")
endfunction()

function(stemma_track)
    cmake_parse_arguments(PARSE_ARGV 0 arg "STAMP" "" "")
    if(NOT arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "stemma_track: name at least one target, or use stemma_track_all()")
    endif()
    _stemma_generator_works(works)
    foreach(name IN LISTS arg_UNPARSED_ARGUMENTS)
        if(NOT TARGET ${name})
            message(FATAL_ERROR "stemma_track: there is no target '${name}'")
        endif()
        get_target_property(real ${name} ALIASED_TARGET)
        if(real)
            set(name ${real})
        endif()
        get_target_property(type ${name} TYPE)
        get_target_property(imported ${name} IMPORTED)
        if(imported OR type STREQUAL "INTERFACE_LIBRARY")
            message(FATAL_ERROR "stemma_track: '${name}' is ${type} and nothing is built for it here")
        endif()
        if(NOT works)
            continue()
        endif()
        _stemma_put_in_front(RULE_LAUNCH_COMPILE compile OBJECT TARGET ${name})
        _stemma_put_in_front(RULE_LAUNCH_LINK link TARGET TARGET ${name})
        _stemma_put_in_front(RULE_LAUNCH_CUSTOM custom OUTPUT TARGET ${name})
        # Ninja looks for custom commands' launcher at the folder.
        get_target_property(folder ${name} SOURCE_DIR)
        _stemma_put_in_front(RULE_LAUNCH_CUSTOM custom OUTPUT DIRECTORY "${folder}")
        if(arg_STAMP)
            _stemma_stamp(${name} ${type})
        endif()
    endforeach()
endfunction()

# An ELF note that names project, version and target: a function of the sources, so that builds stay
# reproducible, and it survives strip. It changes the build-id, so it is asked for.
function(_stemma_stamp name type)
    if(NOT type MATCHES "EXECUTABLE|SHARED_LIBRARY|MODULE_LIBRARY")
        return()
    endif()
    set(note "{\"type\":\"stemma\",\"name\":\"${PROJECT_NAME}\",\"version\":\"${PROJECT_VERSION}\",\"target\":\"${name}\"}")
    target_link_options(${name} PRIVATE "SHELL:-Xlinker '--package-metadata=${note}'")
endfunction()

function(stemma_track_all)
    _stemma_generator_works(works)
    if(works)
        _stemma_put_in_front(RULE_LAUNCH_COMPILE compile OBJECT GLOBAL)
        _stemma_put_in_front(RULE_LAUNCH_LINK link TARGET GLOBAL)
        _stemma_put_in_front(RULE_LAUNCH_CUSTOM custom OUTPUT GLOBAL)
    endif()
endfunction()
