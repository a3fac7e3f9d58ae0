// report[0] <- elements;  report[1] <- max(report[1], elements - n) where number n is infinite or none: the first of
// them wins, and zeros tell that nothing was looked at. Bits are looked at, not numbers: a compiler may take all
// floats for finite. `halves` = 1: two f16 in a word, the lower first.
//
// Grid: one invocation per word, looping by the whole grid. Aliasing: values and report must not share memory.

struct Parameters {
  elements: u32,
  halves: u32,
}

@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> values: array<u32>;
@group(0) @binding(2) var<storage, read_write> report: array<atomic<u32>>;

const EXPONENT = 0x7f800000u;
const LOW_EXPONENT = 0x7c00u;
const HIGH_EXPONENT = 0x7c000000u;

fn note(n: u32) {
  // The last word of an odd number of halves has one to spare.
  if (n < parameters.elements) {
    atomicMax(&report[1], parameters.elements - n);
  }
}

@compute @workgroup_size(256)
fn find(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  if (id.x == 0u) {
    atomicStore(&report[0], parameters.elements);
  }
  let perWord = 1u + parameters.halves;
  let words = (parameters.elements + perWord - 1u) / perWord;
  for (var word = id.x; word < words; word += groups.x * 256u) {
    let bits = values[word];
    if (parameters.halves == 0u) {
      if ((bits & EXPONENT) == EXPONENT) {
        note(word);
      }
      continue;
    }
    if ((bits & LOW_EXPONENT) == LOW_EXPONENT) {
      note(2u * word);
    }
    if ((bits & HIGH_EXPONENT) == HIGH_EXPONENT) {
      note(2u * word + 1u);
    }
  }
}
