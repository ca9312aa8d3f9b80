// What the page of this widget says to people, in one place.

export const W = {
  // grid
  offers: "Offers",
  noOfferMatches: "No offer matches",
  nothingInThisAnswer: "Nothing in this answer passes all filters.",
  resetFilters: "Reset filters",
  selectAllShown: "Select all shown",
  onlySoMuchDisk: (room, disk) =>
    `Only ${room} GB of disk can be had here: less than the ${disk} GB that you ask for`,
  selected: (size) => `${size} selected`,
  // view
  gpuOffers: "GPU offers",
  theTable: "The table",
};
