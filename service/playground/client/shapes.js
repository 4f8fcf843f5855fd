/** The shapes of answers, under the names that the service's description gives them. */
export {};
