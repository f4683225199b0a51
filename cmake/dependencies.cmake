# SPDX-License-Identifier: Apache-2.0
# Debian packages, linked statically: a shipped binary links nothing but glibc dynamically.
find_package(Threads REQUIRED)

add_library(ww_dependencies INTERFACE)

function(ww_static_library name)
  find_library(ww_${name} NAMES lib${name}.a REQUIRED)
  target_link_libraries(ww_dependencies INTERFACE ${ww_${name}})
endfunction()

ww_static_library(zstd)
ww_static_library(pcre2-8)
ww_static_library(utf8proc)

# Debian ships fmt as a shared library only: it is used as headers.
find_package(fmt REQUIRED)
target_link_libraries(ww_dependencies INTERFACE fmt::fmt-header-only)
target_link_libraries(ww_dependencies INTERFACE Threads::Threads ${CMAKE_DL_LIBS})
target_link_options(ww_dependencies INTERFACE -static-libstdc++ -static-libgcc)
