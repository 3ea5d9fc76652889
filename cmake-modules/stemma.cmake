# For projects that are not to be edited:
#
#   cmake -DCMAKE_PROJECT_TOP_LEVEL_INCLUDES=<this folder>/stemma.cmake …
#
# Deferred to the end of the top folder, because CTestUseLaunchers sets the same properties.
include("${CMAKE_CURRENT_LIST_DIR}/StemmaConfig.cmake")
cmake_language(DEFER CALL stemma_track_all)
