//! How fast a model can be on its cable, where that is faster than USB 2.

use super::Speed;

/// Family, first number, second numbers. From Apple's technical specifications ("USB 3", "USB 3.1 Gen 2", "Thunderbolt / USB 4");
/// which product type is which model is in libirecovery's table of devices. Whatever is not here has USB 2, as the iPhone 15, 16, 17
/// and Air and the iPad (10th generation, A16) with their USB-C have, or is newer than this list.
const FAST: &[(&str, u32, &[u32], Speed)] = &[
    // iPad Pro (A12X, A12Z).
    (
        "iPad",
        8,
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        Speed::SuperPlus,
    ),
    // iPad Air (4th generation).
    ("iPad", 13, &[1, 2], Speed::Super),
    // iPad Pro (M1).
    ("iPad", 13, &[4, 5, 6, 7, 8, 9, 10, 11], Speed::SuperPlus),
    // iPad Air (M1).
    ("iPad", 13, &[16, 17], Speed::SuperPlus),
    // iPad mini (6th generation).
    ("iPad", 14, &[1, 2], Speed::Super),
    // iPad Pro (M2).
    ("iPad", 14, &[3, 4, 5, 6], Speed::SuperPlus),
    // iPad Air (M2).
    ("iPad", 14, &[8, 9, 10, 11], Speed::SuperPlus),
    // iPad Air (M3).
    ("iPad", 15, &[3, 4, 5, 6], Speed::SuperPlus),
    // iPad mini (A17 Pro).
    ("iPad", 16, &[1, 2], Speed::SuperPlus),
    // iPad Pro (M4).
    ("iPad", 16, &[3, 4, 5, 6], Speed::SuperPlus),
    // iPad Air (M4).
    ("iPad", 16, &[8, 9, 10, 11], Speed::SuperPlus),
    // iPad Pro (M5).
    ("iPad", 17, &[1, 2, 3, 4], Speed::SuperPlus),
    // iPhone 15 Pro, 16 Pro, 17 Pro, and each Pro Max.
    ("iPhone", 16, &[1, 2], Speed::SuperPlus),
    ("iPhone", 17, &[1, 2], Speed::SuperPlus),
    ("iPhone", 18, &[1, 2], Speed::SuperPlus),
];

/// How fast this model (`ProductType`, such as `iPhone16,1`) could be, where `speed` is that of USB 2 or less. `None` where the link is
/// as good as it gets, or nobody knows better.
#[must_use]
pub fn could_be(product_type: &str, speed: Speed) -> Option<Speed> {
    if speed > Speed::High {
        return None;
    }
    let digits = product_type.find(|letter: char| letter.is_ascii_digit())?;
    let (family, numbers) = product_type.split_at_checked(digits)?;
    let (first, second) = numbers.split_once(',')?;
    let (first, second) = (first.parse::<u32>().ok()?, second.parse::<u32>().ok()?);
    let model = FAST.iter().find(|(of, generation, models, _)| {
        *of == family && *generation == first && models.contains(&second)
    });
    model.map(|(_, _, _, best)| *best)
}
