// mixed[n] <- sum over rows r of weight[r] * rows[r][n]: guidance over the logits of several contexts.
//
// Grid: one invocation per element, looping by the whole grid. Aliasing: no two tensors share memory.

struct Parameters {
  elements: u32,
  rows: u32,
  weight_0: f32,
  weight_1: f32,
  weight_2: f32,
  weight_3: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read_write> mixed: array<f32>;

@compute @workgroup_size(256)
fn mix_rows(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let weights = vec4f(
    parameters.weight_0, parameters.weight_1, parameters.weight_2, parameters.weight_3);
  for (var n = id.x; n < parameters.elements; n += groups.x * 256u) {
    var sum = weights[0] * rows[n];
    for (var row = 1u; row < parameters.rows; row++) {
      sum += weights[row] * rows[row * parameters.elements + n];
    }
    mixed[n] = sum;
  }
}
