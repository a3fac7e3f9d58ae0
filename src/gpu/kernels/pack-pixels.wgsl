// packed[n] = r | g << 8 | b << 16 | note << 24, each byte = floor(clamp((x + 1) / 2 * 255 + offset, 0, 255)).
// The note tells what the bytes do not: 0 = a number is infinite or none, 254 = all three are those of the first
// pixel, else 255. It is made from bits: a compiler may take all floats for finite.
//
// Grid: one invocation per pixel, looping by the whole grid. Aliasing: image and packed must not share memory.

struct Parameters {
  pixels: u32,
  offset: f32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> image: array<u32>;
@group(0) @binding(2) var<storage, read_write> packed: array<u32>;

const EXPONENT = 0x7f800000u;

fn byte_of(bits: u32) -> u32 {
  if ((bits & EXPONENT) == EXPONENT) {
    return select(0u, 255u, bits == EXPONENT);
  }
  let x = bitcast<f32>(bits);
  return u32(clamp((x + 1.0) / 2.0 * 255.0 + parameters.offset, 0.0, 255.0));
}

@compute @workgroup_size(256)
fn pack(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let pixels = parameters.pixels;
  for (var n = id.x; n < pixels; n += groups.x * 256u) {
    let own = vec3u(image[n], image[n + pixels], image[n + 2u * pixels]);
    let first = vec3u(image[0], image[pixels], image[2u * pixels]);
    let is_broken = any((own & vec3u(EXPONENT)) == vec3u(EXPONENT));
    let note = select(select(255u, 254u, all(own == first)), 0u, is_broken);
    packed[n] = byte_of(own.x) | (byte_of(own.y) << 8u) | (byte_of(own.z) << 16u) | (note << 24u);
  }
}
