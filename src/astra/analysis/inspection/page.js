
for (const card of document.querySelectorAll(".episode")) {
  const times = card.dataset.times.split(" ").map(Number);
  const slider = card.querySelector("input");
  const show = () => {
    const number = Number(slider.value), share = times[number] / Math.max(1, card.dataset.length - 1);
    card.querySelector("output").textContent = times[number];
    for (const strip of card.querySelectorAll(".strip")) {
      strip.style.transform = `translateX(${-number * strip.dataset.width}px)`;
    }
    for (const cursor of card.querySelectorAll(".cursor")) {
      const x = share * cursor.ownerSVGElement.viewBox.baseVal.width;
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
    }
  };
  slider.addEventListener("input", show);
  show();
}
