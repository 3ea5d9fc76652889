# Every outside library, in one place. Debian 12's packages; scripts/setup installs them.
find_package(fmt 9 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(yaml-cpp 0.7 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)

# stemma_find_pkg(<target> <pkg-config module>): an imported target under the library's own name.
function(stemma_find_pkg target module)
    string(MAKE_C_IDENTIFIER ${module} prefix)
    pkg_check_modules(${prefix} REQUIRED IMPORTED_TARGET GLOBAL ${module})
    add_library(${target} ALIAS PkgConfig::${prefix})
endfunction()

stemma_find_pkg(LibGit2::LibGit2 libgit2)
stemma_find_pkg(LibVirt::LibVirt libvirt)
stemma_find_pkg(LibVirt::Qemu libvirt-qemu)
stemma_find_pkg(LibNbd::LibNbd libnbd)
stemma_find_pkg(LibExt2fs::LibExt2fs ext2fs)
stemma_find_pkg(LibComErr::LibComErr com_err)
stemma_find_pkg(LibBlkid::LibBlkid blkid)
stemma_find_pkg(LibArchive::LibArchive libarchive)
stemma_find_pkg(LibSodium::LibSodium libsodium)
stemma_find_pkg(LibZstd::LibZstd libzstd)

if(STEMMA_BUILD_TESTS)
    find_package(Catch2 2.13 REQUIRED)
endif()
