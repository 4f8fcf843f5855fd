/* global SwaggerUIBundle */
SwaggerUIBundle({
  url: "docs.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null, // it is on a foreign host, which would learn this address
});
