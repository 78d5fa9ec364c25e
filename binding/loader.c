/*
 * wavegpt.node: a loader that does not link libtorch.
 *
 * load(libraries: string[], binding: string, abi: bigint, cuda: string) opens libtorch's libraries
 * by absolute path, compares libtorch's version, and only then opens the binding, whose undefined
 * libtorch_cpu and libc10 are satisfied by what is loaded already. `cuda` is the library with the
 * kernels for CUDA, or empty; the binding does without it, so what keeps it from being used is no
 * error: the binding's cudaKernels() tells it.
 */
#include <node_api.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef _WIN32
#include <windows.h>
static void* open_library(const char* path) {
  wchar_t wide[4096];
  if (!MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, 4096)) return NULL;
  return (void*)LoadLibraryExW(wide, NULL,
                               LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
}
static void* find_symbol(void* library, const char* name) {
  return (void*)GetProcAddress((HMODULE)library, name);
}
static const char* last_error(void) {
  static char text[64];
  snprintf(text, sizeof text, "LoadLibraryEx failed with error %lu", GetLastError());
  return text;
}
#else
#include <dlfcn.h>

#include "glibc.h"
WAVEGPT_OLDEST_GLIBC(dlopen);
WAVEGPT_OLDEST_GLIBC(dlsym);
WAVEGPT_OLDEST_GLIBC(dlerror);
static void* open_library(const char* path) { return dlopen(path, RTLD_NOW | RTLD_LOCAL); }
static void* find_symbol(void* library, const char* name) { return dlsym(library, name); }
static const char* last_error(void) {
  const char* text = dlerror();
  return text ? text : "unknown error";
}
#endif

typedef napi_value (*init_function)(napi_env, napi_value);

static napi_value fail(napi_env env, const char* code, const char* message) {
  napi_throw_error(env, code, message);
  return NULL;
}

/* The caller frees. NULL, with an exception pending, where the value is no string. */
static char* read_string(napi_env env, napi_value value, const char* what) {
  size_t length = 0;
  char* text;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) != napi_ok) {
    char message[128];
    snprintf(message, sizeof message, "load: expected %s to be a string", what);
    fail(env, "ERR_WAVEGPT_ARGUMENT", message);
    return NULL;
  }
  text = (char*)malloc(length + 1);
  if (!text) {
    fail(env, "ERR_WAVEGPT_OUT_OF_MEMORY", "load: out of memory");
    return NULL;
  }
  napi_get_value_string_utf8(env, value, text, length + 1, &length);
  return text;
}

static unsigned version_part(uint64_t abi, unsigned shift) {
  return (unsigned)(abi >> shift & 255);
}

/* Hands the CUDA library's kernels to the binding, or why there are none. */
static void give_cuda_kernels(const char* path, void* binding) {
  void (*use)(const void*, const char*);
  const void* (*kernels)(void) = NULL;
  const char* reason = NULL;
  void* library;
  *(void**)(&use) = find_symbol(binding, "wavegpt_use_cuda_kernels");
  if (!use) return;
  if (!*path) {
    reason = "there is no wavegpt_cuda library, or libtorch's CUDA build is not open";
  } else if (!(library = open_library(path))) {
    reason = last_error();
  } else {
    *(void**)(&kernels) = find_symbol(library, "wavegpt_cuda_kernels");
    if (!kernels) reason = "wavegpt_cuda_kernels was not found in the wavegpt_cuda library";
  }
  use(kernels ? kernels() : NULL, reason);
}

static napi_value load(napi_env env, napi_callback_info info) {
  size_t argc = 4;
  napi_value argv[4], exports;
  uint32_t count = 0, i;
  uint64_t expected = 0, found;
  bool lossless, is_array = false;
  void* library;
  char *path, *cuda_path;
  uint64_t (*abi_version)(void) = NULL;
  init_function init;

  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok || argc != 4 ||
      napi_is_array(env, argv[0], &is_array) != napi_ok || !is_array ||
      napi_get_array_length(env, argv[0], &count) != napi_ok || count == 0 ||
      napi_get_value_bigint_uint64(env, argv[2], &expected, &lossless) != napi_ok) {
    return fail(env, "ERR_WAVEGPT_ARGUMENT",
                "load: expected (libraries: string[], binding: string, abi: bigint, cuda: string)");
  }
  for (i = 0; i < count; i++) {
    napi_value element;
    napi_get_element(env, argv[0], i, &element);
    path = read_string(env, element, "each library");
    if (!path) return NULL;
    library = open_library(path);
    free(path);
    if (!library) return fail(env, "ERR_WAVEGPT_LIBTORCH_LOAD", last_error());
    if (!abi_version) *(void**)(&abi_version) = find_symbol(library, "aoti_torch_abi_version");
  }
  found = abi_version ? abi_version() : 0;
  if (found >> 40 != expected >> 40) {
    char message[160];
    snprintf(message, sizeof message, "libtorch %u.%u.%u was found, %u.%u.%u is needed",
             version_part(found, 56), version_part(found, 48), version_part(found, 40),
             version_part(expected, 56), version_part(expected, 48), version_part(expected, 40));
    return fail(env, "ERR_WAVEGPT_LIBTORCH_VERSION", message);
  }
  path = read_string(env, argv[1], "the binding's path");
  if (!path) return NULL;
  library = open_library(path);
  free(path);
  if (!library) return fail(env, "ERR_WAVEGPT_BINDING_LOAD", last_error());
  *(void**)(&init) = find_symbol(library, "wavegpt_torch_init");
  if (!init) return fail(env, "ERR_WAVEGPT_BINDING_LOAD", "wavegpt_torch_init was not found");
  cuda_path = read_string(env, argv[3], "the CUDA library's path");
  if (!cuda_path) return NULL;
  give_cuda_kernels(cuda_path, library);
  free(cuda_path);
  if (napi_create_object(env, &exports) != napi_ok) return NULL;
  return init(env, exports);
}

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "load", NAPI_AUTO_LENGTH, load, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "load", function) != napi_ok) {
    return NULL;
  }
  return exports;
}
