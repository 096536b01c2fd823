// SPDX-License-Identifier: Apache-2.0
// hotpath/config.hpp - every HOTPATH_* macro, with its default and the reason to change it.
//   HOTPATH_CONFIG_FILE   a header of yours, in quotes or angle brackets, included first: the place for the settings below.
//   HOTPATH_HEADER_ONLY   1 (default): bodies are inline. 0: bodies come from the library hotpath::compiled, whose CMake
//                         target sets this for you. The two do not mix in one program: a link error says so (see HOTPATH_ABI).
//   HOTPATH_ASSERT(c)     programming errors. Default: assert from <assert.h>.
//   HOTPATH_NO_EXCEPTIONS detected: 1 under -fno-exceptions. Nothing in hotpath needs exceptions.
//   HOTPATH_HAS_X         set by the CMake component X; never changes a body or a layout in a header without X in its name.
#pragma once

#ifdef HOTPATH_CONFIG_FILE
#include HOTPATH_CONFIG_FILE
#endif

#include <hotpath/version.hpp>

#ifndef HOTPATH_HEADER_ONLY
#define HOTPATH_HEADER_ONLY 1
#endif

#ifndef HOTPATH_NO_EXCEPTIONS
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || defined(_CPPUNWIND)
#define HOTPATH_NO_EXCEPTIONS 0
#else
#define HOTPATH_NO_EXCEPTIONS 1
#endif
#endif

#ifndef HOTPATH_ASSERT
#include <assert.h>
#define HOTPATH_ASSERT(condition) assert(condition)
#endif

// The inline namespace carries what must not differ within one program: a type handed from a header-only unit to a compiled
// one, or across -fno-exceptions, is then an undefined symbol at link time instead of a crash at run time.
#if HOTPATH_HEADER_ONLY && !HOTPATH_NO_EXCEPTIONS
#define HOTPATH_ABI v1
#elif HOTPATH_HEADER_ONLY
#define HOTPATH_ABI v1_noexc
#elif !HOTPATH_NO_EXCEPTIONS
#define HOTPATH_ABI v1_compiled
#else
#define HOTPATH_ABI v1_compiled_noexc
#endif

// Marks a function whose body lives in an -inl.hpp: inline when header-only, an ordinary function in the compiled library.
#if HOTPATH_HEADER_ONLY
#define HOTPATH_FN inline
#else
#define HOTPATH_FN
#endif
