//! Memory whose content does not matter, because all of it is written before it is read.

use super::vector::Registers;

/// Gives an empty vector `len` elements of unspecified value. Clearing the output of a forward pass would write its
/// memory once more: with 4096 rows of 64 units, 21 MB.
///
/// In builds with debug assertions every element is NaN, so that a test notices one that is never written.
pub(crate) fn lengthen_unspecified<T: Registers>(vector: &mut Vec<T>, len: usize) {
    assert!(vector.is_empty() && len <= vector.capacity());
    if cfg!(any(debug_assertions, miri)) {
        return vector.resize(len, T::NAN);
    }
    // Rust has no stable inline assembly for some other processors.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    vector.resize(len, T::ZERO);
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    {
        let first = vector.as_mut_ptr();
        // SAFETY: the instructions are none. The compiler has to assume that they write to all memory that `first`
        // reaches, so the elements have a value from here on: the one that the memory holds.
        unsafe { std::arch::asm!("/* {} */", in(reg) first, options(nostack, preserves_flags)) };
        // SAFETY: the capacity suffices, and the elements have a value, of which every bit pattern is valid.
        unsafe { vector.set_len(len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_gets_its_length() {
        let mut vector = Vec::<f32>::with_capacity(7);
        lengthen_unspecified(&mut vector, 7);
        vector.fill(1.0);
        assert_eq!(vector, [1.0; 7]);
    }
}
