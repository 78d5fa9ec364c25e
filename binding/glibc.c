/*
 * Stands between the binding and what glibc has renewed since 2.28, so that a build on any Linux
 * runs there. CMakeLists.txt links with --wrap for each function here.
 */
#include "glibc.h"

#include <math.h>

WAVEGPT_OLDEST_GLIBC(exp);
WAVEGPT_OLDEST_GLIBC(log);
WAVEGPT_OLDEST_GLIBC(pow);

double __wrap_exp(double x);
double __wrap_log(double x);
double __wrap_pow(double x, double y);

/* The newer versions only leave out the old error handling that nothing here asks for: the values
 * are the same. */
double __wrap_exp(double x) { return exp(x); }
double __wrap_log(double x) { return log(x); }
double __wrap_pow(double x, double y) { return pow(x, y); }

/*
 * glibc 2.32's sign to libstdc++ that counting references needs no atomic instructions. This one,
 * always false, is the binding's own: libtorch's threads are there from the start.
 */
__attribute__((visibility("hidden"))) char __libc_single_threaded = 0;
