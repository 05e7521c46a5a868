# SPDX-License-Identifier: Apache-2.0
# For builds against the ROS 2 wheels only (passed as CMAKE_PROJECT_INCLUDE): a ROS 2
# installation needs none of this.
#
# 1. The wheels' exported targets name include directories of the machine that built them.
# 2. CMake refuses to export a target whose include directories lie in the source tree, as
#    numpy's do when the virtual environment is inside the checkout.
function(_pip_ros_fix_includes)
  get_property(_imported DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" PROPERTY IMPORTED_TARGETS)
  foreach(_target IN LISTS _imported)
    get_target_property(_dirs ${_target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT _dirs)
      continue()
    endif()
    set(_keep)
    foreach(_dir IN LISTS _dirs)
      if(NOT IS_ABSOLUTE "${_dir}" OR EXISTS "${_dir}")
        list(APPEND _keep "${_dir}")
      endif()
    endforeach()
    set_target_properties(${_target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${_keep}")
  endforeach()

  set(_own ${PROJECT_NAME}__rosidl_generator_py)
  if(TARGET ${_own})
    get_target_property(_dirs ${_own} INTERFACE_INCLUDE_DIRECTORIES)
    if(_dirs)
      set_target_properties(${_own} PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "$<BUILD_INTERFACE:${_dirs}>")
    endif()
  endif()
endfunction()
cmake_language(DEFER CALL _pip_ros_fix_includes)
