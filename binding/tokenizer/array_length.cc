// GCC's C++ library has this function since 2021 (GLIBCXX_3.4.29), and its headers call it. Of our
// own, hidden, so that the tokenizer opens with the older libraries that libtorch opens with.
#include <new>

#ifdef __GLIBCXX__
namespace std {
__attribute__((visibility("hidden"))) void __throw_bad_array_new_length() {
  throw bad_array_new_length();
}
}  // namespace std
#endif
