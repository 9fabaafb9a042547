import pytest

from dfjax.bench.hlo_figures import Collective, find_group_size, measure_traffic
from dfjax.bench.hlo_text import VMEM, parse_instruction, parse_module, parse_types

PROGRAM = """\
HloModule jit_step, is_scheduled=true

%add.clone (x: f32[], y: f32[]) -> f32[] {
  %x = f32[]{:T(128)} parameter(0)
  %y = f32[]{:T(128)} parameter(1)
  ROOT %add.1 = f32[]{:T(128)} add(%x, %y)
}

%fused (p: f32[8,128]) -> f32[8,128] {
  %p = f32[8,128]{1,0:T(8,128)} parameter(0)
  ROOT %neg = f32[8,128]{1,0:T(8,128)} negate(%p)
}

%body (carry: (s32[], f32[8,128])) -> (s32[], f32[8,128]) {
  %carry = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}) parameter(0)
  %part = f32[8,128]{1,0:T(8,128)} get-tuple-element(%carry), index=1
  %i = s32[]{:T(128)} get-tuple-element(%carry), index=0
  %sum = f32[8,128]{1,0:T(8,128)S(1)} all-reduce(%part), replica_groups={{0,1},{2,3}}, to_apply=%add.clone
  ROOT %out = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}) tuple(%i, %sum)
}

%condition (carry.1: (s32[], f32[8,128])) -> pred[] {
  %carry.1 = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}) parameter(0)
  %bound = s32[]{:T(128)} constant(5)
  %n = s32[]{:T(128)} get-tuple-element(%carry.1), index=0
  ROOT %less = pred[]{:T(512)} compare(%n, %bound), direction=LT
}

ENTRY %main (a: f32[8,128], b: bf16[20,24]) -> f32[8,128] {
  %a = f32[8,128]{1,0:T(8,128)} parameter(0)
  %b = bf16[20,24]{1,0:T(8,128)(2,1)} parameter(1)
  %fusion.1 = f32[8,128]{1,0:T(8,128)} fusion(%a), kind=kLoop, calls=%fused, backend_config={"estimated_cycles":"100"}
  %zero = s32[]{:T(128)} constant(0)
  %start = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}) tuple(%zero, %fusion.1)
  %loop = (s32[]{:T(128)}, f32[8,128]{1,0:T(8,128)}) while(%start), condition=%condition, body=%body
  %both = (f32[8,128]{1,0:T(8,128)}, /*index=1*/bf16[20,24]{1,0:T(8,128)(2,1)}) all-reduce(%fusion.1, /*index=1*/%b), replica_groups=[1,4]<=[4], to_apply=%add.clone
  %ahead = (bf16[20,24]{1,0:T(8,128)(2,1)S(1)}, bf16[20,24]{1,0:T(8,128)(2,1)}, u32[]{:S(2)}) copy-start(%b)
  %there = bf16[20,24]{1,0:T(8,128)(2,1)S(1)} copy-done(%ahead)
  ROOT %last = f32[8,128]{1,0:T(8,128)} get-tuple-element(%loop), index=1
}
"""  # noqa: E501


@pytest.mark.parametrize(
    "text, size, padded",
    [
        ("f32[8,128]{1,0:T(8,128)}", 4096, 4096),
        ("bf16[20,24]{1,0:T(8,128)(2,1)}", 960, 24 * 128 * 2),
        ("bf16[20,24]{0,1:T(8,128)(2,1)}", 960, 24 * 128 * 2),  # 20 on the lanes
        ("bf16[2,3,5,100]{0,3,2,1:T(8,128)}", 6000, 3 * 5 * 104 * 128 * 2),
        ("f32[]{:T(128)}", 4, 512),
        ("f32[7,7,3,16]{3,1,2,0:T(8,128)}", 7 * 7 * 3 * 16 * 4, 7 * 3 * 8 * 128 * 4),
        ("pred[<=10]", 10, 10),
        ("c64[3]{0}", 24, 24),
        ("u4[6]{0}", 3, 3),
        ("token[]", 0, 0),
    ],
)
def test_sizes_with_and_without_the_padding_of_tiles(text, size, padded):
    (found,) = parse_types(text)
    assert (found.bytes, found.padded_bytes) == (size, padded)


def test_tuples_are_flat_and_say_where_they_are():
    found = list(parse_types("((f32[2]{0:T(128)S(1)}, s32[]), (bf16[3]{0}, pred[1]))"))
    assert [(leaf.dtype, leaf.dims, leaf.space) for leaf in found] == [
        ("f32", (2,), VMEM), ("s32", (), 0), ("bf16", (3,), 0), ("pred", (1,), 0),
    ]  # fmt: skip


def test_an_instruction_with_a_tuple_and_comments():
    line = (
        "  ROOT %all-reduce.8 = (f32[16]{0:T(128)S(1)}, /*index=1*/f32[]{:T(128)}) "
        'all-reduce(%a.1, /*index=1*/%b), to_apply=%r, metadata={op_name="f(x)/y"}'
    )
    found = parse_instruction(line)
    assert (found.name, found.opcode, found.operands) == (
        "all-reduce.8",
        "all-reduce",
        ("a.1", "b"),
    )
    assert [leaf.bytes for leaf in found.types] == [64, 4]
    assert parse_instruction("  // a remark") is None


def test_a_program_has_its_computations():
    module = parse_module(PROGRAM)
    assert module.entry == "main"
    assert set(module.computations) == {"add.clone", "fused", "body", "condition", "main"}
    with pytest.raises(ValueError, match="entry"):
        parse_module("HloModule nothing\n")


def test_collectives_count_as_often_as_they_run_and_so_do_tuples():
    traffic = measure_traffic(parse_module(PROGRAM), devices=4)
    assert traffic.collectives == [
        Collective("all-reduce", 2, 5, 5 * 4096),
        Collective("all-reduce", 4, 1, 4096 + 960),
    ]
    assert traffic.cycles == 100


def test_bytes_in_memory_leave_out_what_is_on_the_chip():
    traffic = measure_traffic(parse_module(PROGRAM), devices=4)
    b = 24 * 128 * 2  # with padding
    loop = 5 * 4096  # its sums stay on the chip
    entry = 2 * 4096 + 2 * (4096 + b) + b
    assert traffic.hbm_bytes == entry + loop
    assert traffic.padding_waste > 1


@pytest.mark.parametrize(
    "operation, moved",
    [
        ("((f32[8,128]), f32[2,128]{1,0:S(1)}, u32[]{:S(2)}) slice-start(%a)", 1024),
        ("((f32[8,128]), f32[2,128], u32[]{:S(2)}) slice-start(%a)", 2 * 1024),
        ("(f32[8,128], f32[32,128]) all-gather-start(%a)", 5 * 4096),
        ("f32[8,128] all-reduce-start(%a)", 2 * 4096),
        ("(f32[8,128]{1,0:S(1)}, f32[8,128], u32[]{:S(2)}) copy-start(%a)", 4096),
    ],
)
def test_an_asynchronous_operation_moves_what_it_reads_and_its_result(operation, moved):
    entry = "ENTRY %main (a: f32[8,128]) -> f32[] {\n  %a = f32[8,128] parameter(0)\n"
    module = parse_module(f"{entry}  %one = {operation}\n}}\n")
    assert measure_traffic(module, 4).hbm_bytes == moved


def test_a_loop_runs_as_often_as_the_compiler_says():
    known = PROGRAM.replace("body=%body", 'body=%body, "known_trip_count":{"n":"3"}')
    assert measure_traffic(parse_module(known), 4).collectives[0].count == 3
    unknown = PROGRAM.replace("constant(5)", "parameter(1)")
    counts = [one.count for one in measure_traffic(parse_module(unknown), 4).collectives]
    assert counts == [1, 1]


@pytest.mark.parametrize(
    "attributes, size",
    [
        ("replica_groups={{0,2},{1,3}}", 2),
        ("replica_groups=[2,4]<=[4,2]T(1,0)", 4),
        ("replica_groups=mesh['axis_0'=8,'axis_1'=1] {'axis_0'}, to_apply=%a", 8),
        ("replica_groups=mesh['a'=2,'b'=4], device_ids=([2,4]T(1,0)) {'b'}", 4),
        ("replica_groups={}", 8),
        ("source_target_pairs={{0,1}}", 8),
    ],
)
def test_groups_of_devices_are_read_in_every_notation(attributes, size):
    assert find_group_size(attributes, 8) == size
