# SPDX-License-Identifier: Apache-2.0
# Debian packages, linked statically: a shipped binary links nothing but glibc dynamically.
find_package(Threads REQUIRED)

add_library(ww_dependencies INTERFACE)

function(ww_static_library name users)
  find_library(ww_${name} NAMES lib${name}.a REQUIRED)
  target_link_libraries(${users} INTERFACE ${ww_${name}})
endfunction()

ww_static_library(zstd ww_dependencies)
ww_static_library(pcre2-8 ww_dependencies)
ww_static_library(utf8proc ww_dependencies)

# What the inspector reads beside zstd: payloads of fatbins, wheels and tar archives.
add_library(ww_inspect_dependencies INTERFACE)
ww_static_library(lz4 ww_inspect_dependencies)
ww_static_library(z ww_inspect_dependencies)
ww_static_library(lzma ww_inspect_dependencies)

# The patterns of logs.
add_library(ww_diagnose_dependencies INTERFACE)
ww_static_library(re2 ww_diagnose_dependencies)

# Debian ships fmt as a shared library only: its one file is compiled here, or, of another version, it is used as headers.
find_package(fmt REQUIRED)
if(fmt_VERSION VERSION_GREATER_EQUAL 9 AND fmt_VERSION VERSION_LESS 10)
  add_library(ww_fmt STATIC cmake/fmt.cpp)
  target_link_libraries(ww_dependencies INTERFACE ww_fmt)
else()
  target_link_libraries(ww_dependencies INTERFACE fmt::fmt-header-only)
endif()
target_link_libraries(ww_dependencies INTERFACE Threads::Threads ${CMAKE_DL_LIBS})
target_link_options(ww_dependencies INTERFACE -static-libstdc++ -static-libgcc)
