import jax
import jax.numpy as jnp
import pytest

from dfjax.bench.hlo_figures import measure_traffic
from dfjax.bench.hlo_text import parse_module

TRIPS = 6
STACK, SLICE = 6 * 4096, 4096
"""Bytes of a stack of arrays and of one of them. The index of it is not in HBM."""

LOOP = """\
HloModule jit_step

%condition (state: (s32[], f32[6,8,128], f32[1,8,128])) -> pred[] {{
  %state = (s32[], f32[6,8,128], f32[1,8,128]) parameter(0)
  ROOT %less = pred[]{{:S(1)}} custom-call(), custom_call_target="Less"
}}

{fused}

%body (carry: (s32[], f32[6,8,128], f32[1,8,128])) -> (s32[], f32[6,8,128], f32[1,8,128]) {{
  %carry = (s32[], f32[6,8,128], f32[1,8,128]) parameter(0)
  %i = s32[]{{:S(6)}} get-tuple-element(%carry), index=0
  %stack = f32[6,8,128] get-tuple-element(%carry), index=1
  %part = f32[1,8,128] get-tuple-element(%carry), index=2
  %one = {operation}
  ROOT %next = (s32[], f32[6,8,128], f32[1,8,128]) tuple(%i, %stack, %part)
}}

ENTRY %main (a: s32[], b: f32[6,8,128], c: f32[1,8,128]) -> f32[6,8,128] {{
  %a = s32[] parameter(0)
  %b = f32[6,8,128] parameter(1)
  %c = f32[1,8,128] parameter(2)
  %start = (s32[], f32[6,8,128], f32[1,8,128]) tuple(%a, %b, %c)
  %loop = (s32[], f32[6,8,128], f32[1,8,128]) while(%start), condition=%condition, body=%body, \
backend_config={{"known_trip_count":{{"n":"6"}}}}
  ROOT %last = f32[6,8,128] get-tuple-element(%loop), index=1
}}
"""

FUSED = """\
%fused (p: f32[6,8,128], i: s32[], x: f32[1,8,128]) -> f32[8,128] {{
  %p = f32[6,8,128] parameter(0)
  %i = s32[] parameter(1)
  %x = f32[1,8,128] parameter(2)
  %zero = s32[] constant(0)
{lines}
}}
"""

READ = "dynamic-slice(%p, %i, %zero, %zero), dynamic_slice_sizes={1,8,128}"
WRITE = "dynamic-update-slice(%p, %x, %i, %zero, %zero)"
CALL = "fusion(%stack, %i, %part), kind=kLoop, calls=%fused"
ON_Q = WRITE.replace("%p", "%q")
NESTED = """\
%inner (q: f32[6,8,128], j: s32[]) -> f32[8,128] {
  %q = f32[6,8,128] parameter(0)
  %j = s32[] parameter(1)
  %none = s32[] constant(0)
  %cut = f32[1,8,128] dynamic-slice(%q, %j, %none, %none), dynamic_slice_sizes={1,8,128}
  ROOT %flat = f32[8,128] bitcast(%cut)
}

"""


def count_loop(operation, fused=""):
    """Returns the bytes in HBM of an operation that runs `TRIPS` times, per time."""
    traffic = measure_traffic(parse_module(LOOP.format(operation=operation, fused=fused)), 1)
    return traffic.hbm_bytes / TRIPS


def count_fusion(result, *lines):
    """Returns the bytes in HBM of a fusion of the stack, an index and an array."""
    fused = FUSED.format(lines="\n".join(f"  {line}" for line in lines))
    return count_loop(f"{result} {CALL}", NESTED + fused)


@pytest.mark.parametrize(
    "operation, moved",
    [
        ("f32[1,8,128] dynamic-slice(%stack, %i, %i, %i)", 2 * SLICE),
        ("f32[1,8,128]{2,1,0:S(1)} dynamic-slice(%stack, %i, %i, %i)", SLICE),
        ("f32[2,8,128] slice(%stack), slice={[0:2], [0:8], [0:128]}", 4 * SLICE),
        ("f32[6,8,128] dynamic-update-slice(%stack, %part, %i, %i, %i)", 2 * SLICE),
        ("f32[6,8,128] negate(%stack)", 2 * STACK),
        ('f32[6,8,128] custom-call(), custom_call_target="AllocateBuffer"', 0),
        ('f32[6,8,128] custom-call(), custom_call_target="Sharding"', STACK),
        (
            "((f32[6,8,128], s32[], s32[], s32[]), f32[1,8,128], u32[]{:S(2)}) "
            "dynamic-slice-start(%stack, %i, %i, %i)",
            2 * SLICE,
        ),
    ],
)
def test_operations_of_a_loop_move_slices(operation, moved):
    assert count_loop(operation) == moved


@pytest.mark.parametrize(
    "lines, read",
    [
        ([f"%y = f32[1,8,128] {READ}"], SLICE),
        (
            [
                "%flat = f32[48,128] bitcast(%p)",
                "%s = f32[8,128] slice(%flat), slice={[0:8], [0:128]}",
                f"%t = f32[1,8,128] {READ}",
                "%y = f32[1,8,128] add(%s, %t)",
            ],
            2 * SLICE,
        ),
        (["%y = f32[8,128] fusion(%p, %i), kind=kLoop, calls=%inner"], SLICE),
        (["%y = f32[8,128] fusion(%p, %p), kind=kLoop, calls=%inner"], STACK),
        (
            [  # slices that overlap read the array once
                "%s = f32[5,8,128] slice(%p), slice={[0:5], [0:8], [0:128]}",
                "%t = f32[5,8,128] slice(%p), slice={[1:6], [0:8], [0:128]}",
                "%y = f32[1,8,128] reduce(%s, %t)",
            ],
            STACK,
        ),
        (
            [
                f"%s = f32[1,8,128] {READ}",
                "%all = f32[1,8,128] reduce(%p, %zero)",
                "%y = f32[1,8,128] add(%s, %all)",
            ],
            STACK,
        ),
        (["%y = f32[1,8,128] reduce(%p, %zero)"], STACK),
        ([f"%s = f32[6,8,128] {WRITE}", "%y = f32[1,8,128] reduce(%s, %zero)"], STACK),
    ],
)
def test_a_fusion_reads_slices_of_an_operand_that_is_only_sliced(lines, read):
    found = count_fusion("f32[1,8,128]", *lines, "ROOT %z = f32[1,8,128] add(%y, %x)")
    assert found == read + 2 * SLICE


@pytest.mark.parametrize(
    "lines, moved",
    [
        ([f"ROOT %y = f32[6,8,128] {WRITE}"], SLICE),
        ([f"%s = f32[6,8,128] {WRITE}", "ROOT %y = f32[6,8,128] bitcast(%s)"], SLICE),
        (
            [
                f"%s = f32[6,8,128] {WRITE}",
                "ROOT %y = f32[6,8,128] dynamic-update-slice(%s, %x, %zero, %zero, %zero)",
            ],
            2 * SLICE,
        ),
        (
            [  # adds to a part of the array
                f"%s = f32[1,8,128] {READ}",
                "%sum = f32[1,8,128] add(%s, %x)",
                f"ROOT %y = f32[6,8,128] {WRITE.replace('%x', '%sum')}",
            ],
            2 * SLICE,
        ),
        (
            [
                f"%s = f32[6,8,128] {WRITE}",
                "%all = f32[6,8,128] negate(%p)",
                "ROOT %y = f32[6,8,128] add(%s, %all)",
            ],
            2 * STACK,
        ),
        (["%q = f32[6,8,128] negate(%p)", f"ROOT %y = f32[6,8,128] {ON_Q}"], 2 * STACK),
        (["ROOT %y = f32[6,8,128] add(%p, %x)"], 2 * STACK),
    ],
)
def test_a_fusion_updates_an_operand_in_place(lines, moved):
    assert count_fusion("f32[6,8,128]", *lines) == moved + SLICE


def test_a_fusion_with_several_results_updates_one_of_them():
    result = "(f32[1,8,128], f32[6,8,128])"
    lines = [f"%s = f32[6,8,128] {WRITE}", "%y = f32[1,8,128] negate(%x)"]
    found = count_fusion(result, *lines, f"ROOT %all = {result} tuple(%y, %s)")
    assert found == SLICE + SLICE + SLICE  # x, y and the update
    two = "(f32[6,8,128], f32[6,8,128])"  # one array cannot be two results
    lines = [f"%s = f32[6,8,128] {WRITE}", f"%t = f32[6,8,128] {WRITE}"]
    found = count_fusion(two, *lines, f"ROOT %all = {two} tuple(%s, %t)")
    assert found == SLICE + 3 * STACK


@pytest.mark.parametrize("space, moved", [("", 4096), ("S(1)", 0)])
def test_slices_have_the_padding_of_their_tiles_and_are_where_their_array_is(space, moved):
    stack = f"f32[6,4,100]{{2,1,0:T(8,128){space}}}"
    text = f"""\
%fused (p: f32[6,4,100], i: s32[]) -> f32[1,4,100] {{
  %p = {stack} parameter(0)
  %i = s32[] parameter(1)
  ROOT %y = f32[1,4,100]{{2,1,0:T(8,128)S(1)}} dynamic-slice(%p, %i, %i, %i)
}}

ENTRY %main (a: f32[6,4,100], b: s32[]) -> f32[1,4,100] {{
  %a = {stack} parameter(0)
  %b = s32[]{{:S(6)}} parameter(1)
  ROOT %z = f32[1,4,100]{{2,1,0:T(8,128)S(1)}} fusion(%a, %b), kind=kLoop, calls=%fused
}}
"""
    assert measure_traffic(parse_module(text), 1).hbm_bytes == moved


def test_a_scan_over_stacked_weights_moves_each_layer_once():
    layers, width, rows = 32, 64, 4

    def loss(weights, x):
        return jnp.sum(jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, weights)[0])

    arguments = jnp.zeros((layers, width, width)), jnp.zeros((rows, width))
    text = jax.jit(jax.value_and_grad(loss)).lower(*arguments).compile().as_text()
    found = measure_traffic(parse_module(text), 1).hbm_bytes
    layer = 4 * (width * width + rows * width)  # weights and activations
    # Forwards, backwards and the gradient: each is sliced, multiplied and written.
    assert 3 * layers * layer < found < 16 * layers * layer
