/** A picture that is not coded here, since its code might be another one than Python's. */
export class Refused extends Error {
  name = "Refused";
}
