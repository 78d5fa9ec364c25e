"""Which libtorch operators PyTorch's Python module offers, and where: facts for scripts/generate-operators.mjs.

The schemas that the loaded libtorch reports do not say whether an operator is a function (`torch.add`), a method
(`Tensor.add`) or belongs to a group (`torch.linalg.norm`), nor in which order Python tries its overloads. This
reads both from torchgen, which every torch wheel contains, and prints them compactly:

    python scripts/python-operators.py > scripts/python-operators.json      (needs torch and pyyaml)

Each value lists overloads in the order of Python's argument parser; `a>b` is overload a with its `out` form b, and
`-` is the overload with an empty name.
"""

import json
import os

import torch
import torchgen
from torchgen.gen import parse_native_yaml
from torchgen.packaged.autograd import gen_python_functions as generator

root = os.path.join(os.path.dirname(torchgen.__file__), "packaged")
native = os.path.join(root, "ATen", "native")
# Python leaves out add.Scalar and the like because its numbers become wrapped tensors; a number here stays one.
generator.SKIP_PYTHON_BINDINGS_SIGNATURES.clear()
functions = [
    function
    for function in parse_native_yaml(
        os.path.join(native, "native_functions.yaml"), os.path.join(native, "tags.yaml")
    ).native_functions
    if generator.should_generate_py_binding(function)
    and "Dimname" not in str(function.func)
    and "Stream" not in str(function.func)
    and "Storage" not in str(function.func)
]


def listing(method, belongs):
    pairs = generator.load_signatures(functions, "", method=method, skip_deprecated=True)
    groups = {}
    for pair in pairs:
        name = str(pair.function.func.name.name)
        if belongs(pair.function) and not name.startswith("_"):
            groups.setdefault(name, []).append(pair)
    return {
        name: " ".join(
            (group.base.func.name.overload_name or "-")
            + (f">{group.outplace.func.name.overload_name or '-'}" if group.outplace else "")
            for group in generator.group_overloads(pairs)
        )
        for name, pairs in sorted(groups.items())
    }


# load_signatures opens the file of deprecated signatures even when told to skip them.
generator.load_deprecated_signatures = lambda *arguments, **options: []

facts = {
    "torch": torch.__version__.split("+")[0],
    "methods": listing(True, generator.is_py_variable_method),
    "functions": listing(False, generator.is_py_torch_function),
    "nn": listing(False, generator.is_py_nn_function),
    "linalg": listing(False, generator.is_py_linalg_function),
    "fft": listing(False, generator.is_py_fft_function),
    "special": listing(False, generator.is_py_special_function),
}
print(json.dumps(facts, indent=1))
