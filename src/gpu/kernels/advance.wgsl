// counter <- counter + 1: a length or a position that grows with the sequence.
//
// Grid: one invocation.

@group(0) @binding(1) var<storage, read_write> counter: array<i32>;

@compute @workgroup_size(1)
fn advance() {
  counter[0] += 1;
}
