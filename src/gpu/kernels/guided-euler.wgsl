// v = u + guidance * (c - u)   (v = c when the velocity has one row)
// x <- x + (times[i + 1] - times[i]) * v
// then, in `advance`: i <- i + 1, time <- times[i].
//
// Grid: `euler_step` one invocation per element, looping by the whole grid; `advance` one invocation.
// Aliasing: no two tensors share memory. Past the last time nothing changes.

struct Parameters {
  elements: u32,
  rows: u32,
  steps: u32,
  guidance: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read_write> latents: array<f32>;
@group(0) @binding(2) var<storage, read> velocity: array<f32>;
@group(0) @binding(3) var<storage, read> times: array<f32>;
@group(0) @binding(4) var<storage, read_write> index: array<u32>;
@group(0) @binding(5) var<storage, read_write> time: array<f32>;

@compute @workgroup_size(256)
fn euler_step(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = index[0];
  if (i >= parameters.steps) {
    return;
  }
  let dt = times[i + 1u] - times[i];
  for (var n = id.x; n < parameters.elements; n += groups.x * 256u) {
    var v = velocity[n];
    if (parameters.rows == 2u) {
      let u = velocity[n + parameters.elements];
      v = u + parameters.guidance * (v - u);
    }
    latents[n] += dt * v;
  }
}

@compute @workgroup_size(1)
fn advance() {
  let i = index[0];
  if (i >= parameters.steps) {
    return;
  }
  index[0] = i + 1u;
  time[0] = times[i + 1u];
}
