// v = sum over rows r of weight[r] * velocity[r]
// x <- start + moves[i].delta * v;  start <- x where moves[i] ends a step
// then, in `advance`: i <- i + 1, time <- times[i]. i is progress[0]; check-finite.wgsl runs between the two.
//
// Grid: `move_latents` one invocation per element, looping by the whole grid; `advance` one invocation.
// Aliasing: no two tensors share memory. Past the last evaluation nothing changes.

struct Parameters {
  elements: u32,
  rows: u32,
  evaluations: u32,
  time_width: u32,
  weight_0: f32,
  weight_1: f32,
  weight_2: f32,
  weight_3: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> latents: array<f32>;
@group(0) @binding(2) var<storage, read_write> start: array<f32>;
@group(0) @binding(3) var<storage, read> velocity: array<f32>;
@group(0) @binding(4) var<storage, read> moves: array<f32>;
@group(0) @binding(5) var<storage, read_write> progress: array<u32>;
@group(0) @binding(6) var<storage, read> times: array<f32>;
@group(0) @binding(7) var<storage, read_write> time: array<f32>;

fn mixed(n: u32) -> f32 {
  let weights = vec4f(
    parameters.weight_0, parameters.weight_1, parameters.weight_2, parameters.weight_3);
  var sum = weights[0] * velocity[n];
  for (var row = 1u; row < parameters.rows; row++) {
    sum += weights[row] * velocity[row * parameters.elements + n];
  }
  return sum;
}

@compute @workgroup_size(256)
fn move_latents(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = progress[0];
  if (i >= parameters.evaluations) {
    return;
  }
  let delta = moves[2u * i];
  let ends_step = moves[2u * i + 1u] != 0.0;
  for (var n = id.x; n < parameters.elements; n += groups.x * 256u) {
    let x = start[n] + delta * mixed(n);
    latents[n] = x;
    if (ends_step) {
      start[n] = x;
    }
  }
}

@compute @workgroup_size(1)
fn advance() {
  let i = progress[0];
  if (i >= parameters.evaluations) {
    return;
  }
  progress[0] = i + 1u;
  if (i + 1u == parameters.evaluations) {
    return;
  }
  for (var n = 0u; n < parameters.time_width; n++) {
    time[n] = times[(i + 1u) * parameters.time_width + n];
  }
}
