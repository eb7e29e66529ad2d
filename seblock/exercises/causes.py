"""What is usually behind an error message of Python or PyTorch, in a sentence."""

import ast
import difflib
import re
from typing import Any, Protocol

import torch

CAUSES = {
    # shapes
    r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)":
        "Shapes are lined up from the right, and there {0} meets {1}. An axis of size 1, from "
        "indexing with None, "
        "fits any size.",
    r"operands could not be broadcast|shape mismatch":
        "Shapes are lined up from the right, and each pair of sizes has to be equal or hold a 1.",
    r"output with shape .* doesn't match the broadcast shape":
        "What stands on the left of `+=` or `*=` keeps its shape, and the result is larger: give it that "
        "shape from the start.",
    r"expanded size of the tensor \((\d+)\) must match the existing size \((\d+)\)":
        "Only an axis of size 1 can be expanded; this one has {1}.",
    r"mat1 and mat2 shapes cannot be multiplied \((\d+)x(\d+) and (\d+)x(\d+)\)":
        "In a @ b the columns of a meet the rows of b: {1} and {2} are not equal. w.T turns a matrix over.",
    r"first two dimensions of batch2":
        "In a @ b the last size of a has to be that of b's last axis but one. `*` multiplies number "
        "by number.",
    r"argument 'dim' .* must be int, not tuple": "It takes one axis: flatten(2) makes one of H and W.",
    r"inconsistent tensor size|size mismatch|matmul: Input operand":
        "In a @ b the last size of a has to be the first one of b. w.T turns a matrix over.",
    r"shape '.*' is invalid for input of size (\d+)":
        "There are {0} numbers, and the new shape has to hold just as many.",
    r"cannot reshape": "The new shape has to hold just as many numbers as the old one.",
    r"view size is not compatible": "Where `view` can't, `reshape` or `flatten` can.",
    r"Dimension out of range .*\[(-?\d+), (-?\d+)\], but got (-?\d+)":
        "Axes are counted from 0, so the last one here is {1}.",
    r"axis \d+ is out of bounds": "Axes are counted from 0.",
    r"too many indices": "There are more indices than axes.",
    r"index (-?\d+) is out of bounds for (?:dimension|axis) (\d+) with size (\d+)":
        "Indices are counted from 0, so along axis {1} they end at {2} - 1.",
    r"(list|tuple|string) index out of range":
        "Indices are counted from 0, so the last one is the length less 1.",
    r"Sizes of tensors must match except in dimension|all the input array dimensions":
        "What is joined has to have the same size along every other axis.",
    r"stack expects each tensor to be equal size": "What is stacked has to have one shape.",
    r"stack\(\)|cat\(\)|expected a non-empty list|a non-empty TensorList|"
    r"received an empty|must be tuple of Tensors":
        "`stack` and `cat` want a list of tensors, in one pair of brackets, with at least one in it.",
    r"shape of the mask|indexed tensor": "A mask needs the shape of what it chooses from.",
    r"not enough values to unpack|too many values to unpack":
        "The number of names on the left is not that of the values on the right.",
    r"number of dimensions|number of sizes provided":
        "The number of sizes or axes that you name is not that of the tensor.",
    r"argument \d+ is longer|argument \d+ is shorter": "What `zip` walks through has different lengths.",
    r"einsum|subscripts":
        "In `einsum` each letter names one axis, and a letter has one size wherever it stands.",
    # convolution
    r"transposed=1":
        "conv_transpose2d is the way back of a convolution. The task wants the way there, conv2d.",
    r"groups=\d+, expected weight": "`groups` has to divide the number of filters and of channels.",
    r"expected input.* to have (\d+) channels?, but got (\d+)":
        "`conv2d` wants a filter with as many slices as the input has channels; `groups` changes that.",
    r"weight should have":
        "A convolution wants axes for images and channels too, if only of size 1: conv1d (N, C', L) and "
        "(C, C', k), conv2d (N, C', H, W) and (C, C', k, k).",
    r"Expected 3D .* or 4D .* input to conv2d|expected (?:stride|padding) to be":
        "`conv2d` wants maps (N, C', H, W) and filters (C, C', k, k): axes of size 1 have to be there too.",
    r"Kernel size can't be greater": "The kernel is larger than the map.",
    # nothing there
    r"'NoneType' object|and 'NoneType'|'NoneType' and|not NoneType|got NoneType|found type NoneType|"
    r"no tensor but a NoneType":
        "Something is None there: a function without a `return`, or a method that only works in place?",
    r"does not require grad|does not have a grad_fn":
        "Autograd follows only what it was told to: `requires_grad_()` on the input comes before the "
        "forward pass.",
    r"grad can be (?:implicitly )?created only for scalar":
        "Add up the output first: backward starts from one number.",
    r"One of the differentiated Tensors .*not have been used|appears to not have been used":
        "What you differentiate by is not what the network was given: the copy with requires_grad "
        "has to go in.",
    r"backward through the graph a second time": "Each backward pass needs a forward pass of its own.",
    r"leaf Variable that requires grad": "Change a copy: x.clone(), or compute a new tensor.",
    r"Can't call numpy\(\) on Tensor that requires grad": "x.detach() leaves autograd behind.",
    r"non-leaf Tensor": "Only what you called requires_grad_() on keeps a gradient.",
    # kinds of values
    r"operand type\(s\) for \^": "`^` is no power in Python: that is `**`.",
    r"Expected index .* to be no larger":
        "In `scatter` the index may not be larger than what it writes, nor than what it writes to, except "
        "along the axis that is named. Is that the right one?",
    r"operand type\(s\) for @|at least 1D|[01]D and 0D|2D and 0D":
        "`@` multiplies matrices; numbers take `*`.",
    r"appears multiple times in the list of dims|repeated axis|duplicate dims": "One axis is named twice.",
    r"cannot unpack non-iterable": "The loop takes several names and gets one value: `zip` pairs two lists.",
    r"invalid shape dimension": "Only -1 may be a size that is left to be worked out.",
    r"must be int, not float|found element of type float|but got float|object cannot be interpreted "
    r"as an integer":
        "A whole number is wanted there: `//` divides without a rest.",
    r"only integer tensors of a single element": "A whole number is wanted there, and a tensor stands there.",
    r"zero-dimensional tensor .* cannot be concatenated":
        "`stack` joins single numbers, `cat` what has axes.",
    r"does not support item assignment": "Only a list, a dict or a tensor can be filled place by place.",
    r"condition to be a boolean|only supports? boolean masks|"
    r"only implemented on integer and Boolean|expected BoolTensor|must "
    r"be a bool":
        "A mask of True and False is wanted there: m > 0 makes one of zeros and ones.",
    r"must have at least 2 dimensions|must be batches of|2D or higher":
        "This needs a matrix: rows and columns.",
    r"'(?:int|float)' object has no attribute|no tensor but a (?:int|float)":
        "A number is no tensor: torch.tensor(x) makes one.",
    r"'function' object has no attribute|no tensor but a (?:function|method|builtin)":
        "A function stands there without its brackets, or one that has no such part.",
    r"not supported between instances":
        "What is compared there are not two numbers: take the part that is one.",
    r"step must be greater than zero": "A tensor cannot be walked through backwards; `flip` turns it over.",
    r"[Bb]oolean value of Tensor|truth value of an array":
        "`if`, `and`, `min` and `max` of Python decide once, but there are many numbers. "
        "torch.where, minimum and maximum decide for each.",
    r"only one element tensors|cannot be converted to Scalar|only .*(?:length-1|0-dimensional) arrays":
        "One number was wanted there, and this tensor holds several.",
    r"mean\(\): could not infer output dtype|Input dtype must be either a floating|only supports floating"
    r"|std and var|only floating|not implemented for '(?:Long|Bool|Int)'":
        "The numbers are whole or True and False: x.float() makes them floats.",
    r"Input type .* and weight type \(torch.LongTensor":
        "One of the two holds whole numbers: is there a `//`, or an int where a float should be?",
    r"and weight type|same dtype|same type|"
    r"expected scalar type|expected .* dtype|dtypes? do not match|to have the same":
        "Two kinds of numbers meet; x.to(y.dtype) makes them one kind.",
    r"(tuple|list) indices must be integers or slices, not (?:tuple|str|list)":
        "That is a {0}, not a tensor: take one of its parts first, such as [0].",
    r"combination of arguments - got \(list":
        "A list is no tensor: torch.stack or torch.tensor makes one of it.",
    r"must be bool|tensors used as indices|only integers, slices|indices must be integers":
        "An index is a whole number, a slice, None or a mask of True and False.",
    r"Subtraction, the `-` operator, with (?:a|two) bool": "Use 1 - mask.float(), or ~mask.",
    r"'(\w+)' object is not callable": "Round brackets call a function; an index wants square ones.",
    r"loading state_dict":
        "Names or shapes are not those of this module: compare its state_dict() with what you have.",
    r"unsupported operand type\(s\) for "
    r".*'(?:function|method|builtin)|'(?:method|function|builtin_function_or_method)' object|of type "
    r"'(?:method|builtin)|and 'builtin_|'builtin_function":
        "A function stands there without its brackets.",
    r"'(?:list|tuple)' object has no attribute|no tensor but a (?:list|tuple)|"
    r"can't multiply sequence|can only concatenate|"
    r"unsupported operand type\(s\) for .*'(?:list|tuple)'|must be Tensor, not (?:list|tuple)":
        "A list does not calculate number by number: take a loop, or make it a tensor.",
    r"must be Tensor, not (\w+)|expected Tensor as element":
        "A tensor was wanted there: torch.tensor(x) makes one.",
    r"object is not iterable|iteration over a 0-d|len\(\) of a 0-d|object has no len":
        "There is one number, no list.",
    r"object is not subscriptable": "It is no list and no tensor, so it can't be indexed.",
    r"positional argument|unexpected keyword|required argument|required keyword|invalid "
    r"combination|multiple values":
        "A function there got other arguments than it takes.",
    r"division by zero|modulo by zero":
        "Something is divided by 0: what if a number in the task is 0 or small?",
    r"math domain|math range|[Rr]esult too large": "The function has no value there.",
    r"maximum recursion": "The function calls itself without end.",
    r"cannot access local variable|referenced before assignment":
        "This name gets its value later in the function, or only in a branch that was not taken.",
}  # fmt: skip
"""Patterns of messages, and what to tell; {0} is what the pattern's first group found."""


class Scene(Protocol):
    """What stood where an error happened."""

    part: ast.expr | None
    values: dict[str, Any]

    def nothing(self) -> str: ...

    def pairs(self) -> str: ...


def cause(error: BaseException, scene: Scene | None) -> str:
    """What is usually behind this error; nothing if it is not known."""
    try:
        message = str(error)
    except Exception:
        return ""
    none = scene.nothing() if scene else ""
    if "NoneType" in message and none.endswith(".grad"):
        return f"{none} is None until `backward` ran, and only what has requires_grad gets one."
    if isinstance(error, NameError) and not isinstance(error, UnboundLocalError):
        return "Is the name spelt as where it was made, and has that cell been run?"
    if (
        isinstance(error, AttributeError)
        and message.startswith("module")
        and hasattr(torch, error.name or "")
    ):
        return f"torch.{error.name} has it, for tensors."
    if isinstance(error, AttributeError) and (name := _near(error)):
        return f"Did you mean `{name}`?"
    if scene and (both := scene.pairs()):
        return f"{both} holds values and indices together: take .values or .indices."
    if isinstance(error, KeyError):
        wanted = str(error.args[0]) if error.args else ""
        other = [key for key in _keys(scene) if key.lower() == wanted.lower() and key != wanted]
        if other:
            return f"The dict has {other[0]!r} in its place: capitals count."
        near = difflib.get_close_matches(str(error.args[0]) if error.args else "", _keys(scene), 1)
        return (
            f"The dict does not have this key; did you mean {near[0]!r}?"
            if near
            else "The dict lacks this key."
        )
    if isinstance(error, AssertionError):
        return "An `assert` of your own does not hold."
    for pattern, told in CAUSES.items():
        if found := re.search(pattern, message):
            return told.format(*(group or "" for group in found.groups()))
    return ""


def _near(error: AttributeError) -> str:
    """The attribute that was probably meant."""
    names = [name for name in dir(getattr(error, "obj", None)) if not name.startswith("_")]
    near = difflib.get_close_matches(getattr(error, "name", None) or "", names, 1, 0.75)
    return near[0] if near else ""


def _keys(scene: Scene | None) -> list[str]:
    """The keys of all dicts that stood there."""
    values = scene.values.values() if scene else []
    return [str(key) for value in values if isinstance(value, dict) for key in value]
