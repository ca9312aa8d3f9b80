// What the page of this widget says to people, in one place.

export const W = {
  // grid
  noOfferMatches: "No offer matches",
  nothingInThisAnswer: "No offer in this result passes all filters.",
  resetFilters: "Reset filters",
  selectAllShown: "Select all shown",
  onlySoMuchDisk: (room, disk) => `Only ${room} GB of disk are available here, less than your ${disk} GB`,
  selected: (size) => `${size} selected`,
  // view
  gpuOffers: "GPU offers",
  theTable: "The table",
};
