/** The types of answers, by the names in the service's OpenAPI description. */
export {};
