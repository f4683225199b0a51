# SPDX-License-Identifier: Apache-2.0
# What goes into the Python package beside its .py files (pyproject.toml): the library, and the program for
# `python -m warpwright`.
#
# WW_PREBUILT  a build folder of the same sources: its files are packed, and nothing is built

set(WW_PREBUILT "" CACHE PATH "a build folder whose library and program go into the Python package")
if(WW_PREBUILT)
  file(REAL_PATH ${WW_PREBUILT}/libwarpwright.so ww_wheel_library)
  set(ww_wheel_program ${WW_PREBUILT}/warpwright_beside)
  add_custom_target(wheel)
else()
  set(ww_wheel_library $<TARGET_FILE:warpwright_shared>)
  set(ww_wheel_program $<TARGET_FILE:warpwright_beside>)
  add_custom_target(wheel DEPENDS warpwright_shared warpwright_beside)
endif()
install(PROGRAMS ${ww_wheel_library} DESTINATION warpwright RENAME libwarpwright.so COMPONENT wheel)
install(PROGRAMS ${ww_wheel_program} DESTINATION warpwright/bin RENAME warpwright COMPONENT wheel)
# What `python -m warpwright.bench` times beside our operations.
install(FILES bench/peers.py bench/peer_packages.py DESTINATION warpwright/bench COMPONENT wheel)
