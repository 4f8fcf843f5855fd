/* global SwaggerUIBundle */
SwaggerUIBundle({
  url: "docs.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // it would be told of this service, on a host of others
});
