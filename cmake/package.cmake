# What is installed: the program, one shared library, headers, and find_package(Tenon).
include(CMakePackageConfigHelpers)
install(TARGETS tenon_library EXPORT TenonTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET tenon)
  set_target_properties(tenon PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS tenon RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
foreach(layer kernels engine models)
  install(DIRECTORY ${layer} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tenon FILES_MATCHING PATTERN "*.h")
endforeach()
install(EXPORT TenonTargets NAMESPACE Tenon:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Tenon)
file(WRITE ${CMAKE_BINARY_DIR}/TenonConfig.cmake [[
include(CMakeFindDependencyMacro)
find_dependency(nlohmann_json)  # headers name its type where settings and manifests are JSON
include("${CMAKE_CURRENT_LIST_DIR}/TenonTargets.cmake")
]])
write_basic_package_version_file(${CMAKE_BINARY_DIR}/TenonConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/TenonConfig.cmake ${CMAKE_BINARY_DIR}/TenonConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Tenon)
