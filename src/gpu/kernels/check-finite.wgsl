// progress[1] <- max(progress[1], evaluations - i) where any latent is infinite or no number: after the loop it
// tells the first evaluation that broke. Bits are looked at, not numbers: a compiler may take all floats for finite.
//
// Grid: one invocation per element, looping by the whole grid. Runs between `move_latents`, which wrote the
// latents, and `advance`, which counts i = progress[0] up. Aliasing: no two tensors share memory.

struct Parameters {
  elements: u32,
  evaluations: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> latents: array<u32>;
@group(0) @binding(2) var<storage, read_write> progress: array<atomic<u32>>;

const EXPONENT = 0x7f800000u;

@compute @workgroup_size(256)
fn check(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = atomicLoad(&progress[0]);
  if (i >= parameters.evaluations) {
    return;
  }
  var is_broken = false;
  for (var n = id.x; n < parameters.elements; n += groups.x * 256u) {
    is_broken = is_broken || (latents[n] & EXPONENT) == EXPONENT;
  }
  if (is_broken) {
    atomicMax(&progress[1], parameters.evaluations - i);
  }
}
