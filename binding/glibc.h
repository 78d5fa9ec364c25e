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

/*
 * The same for std::condition_variable::wait, which libstdc++ renewed in GCC 12 to let a thread be
 * cancelled in it. Nothing here cancels threads.
 */
#if defined(__cplusplus) && defined(__GLIBCXX__) && defined(__GLIBC__)
#define WAVEGPT_OLDEST_CONDITION_WAIT                                      \
  __asm__(                                                                 \
      ".symver _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE," \
      "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11")
#else
#define WAVEGPT_OLDEST_CONDITION_WAIT struct wavegpt_no_condition_wait
#endif
