# What other projects get: find_package(Stemma) from an install prefix, and from this build tree with
# CMAKE_PREFIX_PATH=<build folder>.
include(CMakePackageConfigHelpers)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/Stemma)
set(build_package_folder ${PROJECT_BINARY_DIR}/lib/cmake/Stemma)

set_target_properties(stemma_hook PROPERTIES EXPORT_NAME hook)
install(TARGETS stemma_hook EXPORT StemmaHook RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS stemma_core stemma_model EXPORT StemmaLibraries
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# The lineage for programs of others; SQLite's, zstd's and libpq's wrappers come with it.
install(TARGETS stemma_lineage stemma_sqlite stemma_zstd stemma_postgres EXPORT StemmaLineage
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT StemmaLineage NAMESPACE Stemma:: DESTINATION ${package_folder})
install(EXPORT StemmaHook NAMESPACE Stemma:: DESTINATION ${package_folder})
install(EXPORT StemmaLibraries NAMESPACE Stemma:: DESTINATION ${package_folder})
export(EXPORT StemmaHook NAMESPACE Stemma:: FILE ${build_package_folder}/StemmaHook.cmake)
# In the build tree the libraries still name stemma_flags, for linking only.
export(TARGETS stemma_core stemma_model stemma_flags
    NAMESPACE Stemma:: FILE ${build_package_folder}/StemmaLibraries.cmake)
export(TARGETS stemma_lineage stemma_sqlite stemma_zstd stemma_postgres
    NAMESPACE Stemma:: FILE ${build_package_folder}/StemmaLineage.cmake)

set(package_files
    ${CMAKE_CURRENT_LIST_DIR}/StemmaTrack.cmake
    ${CMAKE_CURRENT_LIST_DIR}/stemma.cmake)
configure_file(${CMAKE_CURRENT_LIST_DIR}/StemmaConfig.cmake.in
    ${build_package_folder}/StemmaConfig.cmake COPYONLY)
write_basic_package_version_file(${build_package_folder}/StemmaConfigVersion.cmake
    COMPATIBILITY SameMajorVersion)
foreach(file IN LISTS package_files)
    get_filename_component(name ${file} NAME)
    configure_file(${file} ${build_package_folder}/${name} COPYONLY)
endforeach()
install(FILES ${package_files}
        ${build_package_folder}/StemmaConfig.cmake
        ${build_package_folder}/StemmaConfigVersion.cmake
    DESTINATION ${package_folder})
