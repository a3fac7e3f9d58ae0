// packed[n] = r | g << 8 | b << 16 | 255 << 24, each byte = floor(clamp((x + 1) / 2 * 255 + offset, 0, 255)).
//
// Grid: one invocation per pixel, looping by the whole grid. Aliasing: image and packed must not share memory.

struct Parameters {
  pixels: u32,
  offset: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> image: array<f32>;
@group(0) @binding(2) var<storage, read_write> packed: array<u32>;

fn byte_of(x: f32) -> u32 {
  return u32(clamp((x + 1.0) / 2.0 * 255.0 + parameters.offset, 0.0, 255.0));
}

@compute @workgroup_size(256)
fn pack(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let pixels = parameters.pixels;
  for (var n = id.x; n < pixels; n += groups.x * 256u) {
    let red = byte_of(image[n]);
    let green = byte_of(image[n + pixels]);
    let blue = byte_of(image[n + 2u * pixels]);
    packed[n] = red | (green << 8u) | (blue << 16u) | (255u << 24u);
  }
}
