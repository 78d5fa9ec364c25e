/*
 * WAVEGPT_OLDEST_GLIBC(function) links the function in the version that every glibc since 2.17 has.
 * A linker takes the newest version that the building machine knows, and older systems then refuse
 * the whole library. Only for functions whose old version does the same; scripts/check-prebuild.mjs
 * names those that are too new.
 */
#pragma once

#include <stdlib.h> /* defines __GLIBC__ */

#if defined(__GLIBC__) && defined(__x86_64__)
#define WAVEGPT_OLDEST_GLIBC(function) __asm__(".symver " #function "," #function "@GLIBC_2.2.5")
#elif defined(__GLIBC__) && defined(__aarch64__)
#define WAVEGPT_OLDEST_GLIBC(function) __asm__(".symver " #function "," #function "@GLIBC_2.17")
#else
#define WAVEGPT_OLDEST_GLIBC(function) struct wavegpt_no_glibc
#endif
