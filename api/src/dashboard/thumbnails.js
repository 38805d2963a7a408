// The thumbnails of a series that is kept, on its page.
"use strict";

const MOST_THUMBNAILS = 12;

let stripShown = ""; // what the strip was last made of
let stripSeen; // waits until a box is on the screen

// Of a list at most so many, evenly spread, with the first and the last.
function spread(list, most) {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, at) => list[Math.round((at * (list.length - 1)) / (most - 1))]);
}

// A box for each of some instances, in the order of their numbers. Nothing is asked for until it is seen.
function showStrip(isKept, study, series, instances) {
  const place = ({ InstanceNumber }) => (Number.isInteger(Number(InstanceNumber ?? NaN)) ? Number(InstanceNumber) : Infinity);
  const ordered = [...instances].sort((one, other) => place(one) - place(other) || 0);
  const uids = ordered.map((i) => i.SOPInstanceUID);
  const chosen = isKept && study ? spread(uids, MOST_THUMBNAILS) : [];
  const made = JSON.stringify([study, series, chosen]);
  if (made === stripShown) return;
  stripShown = made;
  stripSeen?.disconnect();
  stripSeen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      stripSeen.unobserve(target);
      fill(target);
    }
  });
  const boxes = chosen.map((uid) => {
    const box = element("li");
    const parts = [study, series, uid].map(encodeURIComponent);
    box.dataset.path = `/dicom-web/studies/${parts[0]}/series/${parts[1]}/instances/${parts[2]}/thumbnail`;
    box.dataset.text = `Instance ${number.format(uids.indexOf(uid) + 1)} of ${number.format(uids.length)}`;
    stripSeen.observe(box);
    return box;
  });
  $("one-strip").replaceChildren(...boxes);
  $("one-strip").hidden = !boxes.length;
}

// Puts the thumbnail into its box, or says by its title why there is none.
async function fill(box) {
  try {
    const answer = await fetch(box.dataset.path, { headers: { Accept: "image/jpeg" } });
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      throw new Error(problem.detail || `The API answers ${answer.status}.`);
    }
    const image = element("img");
    image.alt = box.dataset.text;
    image.src = await asData(await answer.blob());
    box.replaceChildren(image);
  } catch (error) {
    box.classList.add("none");
    box.title = error.message;
    box.replaceChildren(element("span", `${box.dataset.text}: no image`));
  }
}

// As a URL that has all of it: the page may show no other images.
function asData(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
