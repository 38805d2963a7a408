// What the compiler has to accept and to refuse; never run.
import type { operations, paths, Series, StoreRequest } from "./openapi";

type Filters = NonNullable<operations["listSeries"]["parameters"]["query"]>;
const filters: Filters = { Modality: "MR", limit: 100, sort: "-CompletedAt" };
// @ts-expect-error There is no such order.
const unknown: Filters = { sort: "Size" };

const stored: StoreRequest = {
  SeriesInstanceUID: "1.2.3",
  StudyInstanceUID: "1.2",
  PatientID: "7",
  PatientName: "Roe^Jane",
  InstancesCount: 3,
};
// @ts-expect-error The other keys are required.
const incomplete: StoreRequest = { SeriesInstanceUID: "1.2.3" };

type Listed = paths["/series"]["get"]["responses"][200]["content"]["application/json"];
export async function list(api: string): Promise<Series[]> {
  const query = new URLSearchParams(Object.entries(filters).map(([name, value]) => [name, String(value)]));
  const listed: Listed = await (await fetch(`${api}/series?${query}`)).json();
  return listed.filter((series): series is Series => series.SeriesInstanceUID !== stored.SeriesInstanceUID);
}
export const others = [unknown, incomplete];
