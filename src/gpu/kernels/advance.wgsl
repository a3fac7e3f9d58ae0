// counters[n] <- counters[n] + 1: lengths and positions that grow with the sequence, one for each row.
//
// Grid: one invocation.

struct Parameters {
  elements: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> counters: array<i32>;

@compute @workgroup_size(1)
fn advance() {
  for (var n = 0u; n < parameters.elements; n++) {
    counters[n] += 1;
  }
}
