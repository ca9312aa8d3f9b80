// What the page of this widget says to people, in one place.

export const W = {
  // view
  cheapestGpu: "cheapest GPU",
  medianPerGPU: "median per GPU",
  gpuModels: "GPU models",
  onDemand: "On-demand",
  bid: "Bid",
  reserved: "Reserved",
  perGPU: "per GPU",
  perOffer: "per offer",
  gpuPrices: "GPU prices",
  rental: "Rental",
  count: "Count",
  thePriceCharts: "The price charts",
  daysOfTheTrend: "Days of the trend",
  machinesClickToShow: (name, machines) =>
    `${name}: ${machines} machines. Click to show or hide it in all charts`,
  allGpus: "All GPUs",
  fewer: "fewer",
  more: (hidden) => `${hidden} more`,
};
